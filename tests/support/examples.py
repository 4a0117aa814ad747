"""How many examples the property tests look at: a third in `make test`, all in `make test-all`."""

import os

THOROUGH = os.environ.get("YIWANG_TESTS") == "all"


def examples(most: int) -> int:
    """``most`` where there is time, else a third."""
    return most if THOROUGH else max(2, most // 3)
