"""The city of the shared home (fixture ``city`` of the integration tests) and how to call the command on a home."""

import sys
from datetime import date
from pathlib import Path

CASES, UNTIL = 1000, date(2026, 6, 29)
ENVIRONMENT = {"YIWANG_DIGEST_KEY": "a key for tests only", "YIWANG_QUALITY_PROFILE": "false", "YIWANG_FORECAST": "false", "YIWANG_QUALITY_RECOUNT": "false"}
"""One key, so that digests agree between homes; profiles, forecasts and Great Expectations have tests of their own, and other homes need not wait for them."""
YIWANG = str(Path(sys.executable).with_name("yiwang"))
