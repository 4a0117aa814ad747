"""Every action that the code writes into the audit has a Chinese title, and no title stands for nothing."""

import re
from pathlib import Path

from models.core.audit.titles import ACTIONS

ROOMS = ("models", "pipelines", "serving")


def test_titles_are_those_of_the_actions_that_are_recorded() -> None:
    root = Path(__file__).parents[3]
    recorded = {
        found for room in ROOMS for path in (root / room).rglob("*.py") for found in re.findall(r"record\(\s*\"([a-z_]+\.[a-z_]+)\"", path.read_text(encoding="utf-8"))
    }
    assert len(recorded) > 50 and recorded <= set(ACTIONS)
    states = {f"appointment.{state}" for state in ("called", "served", "missed", "cancelled")}
    assert set(ACTIONS) - recorded <= states
