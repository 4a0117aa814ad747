"""People read Chinese: whatever stands as a code in the store has a name, and no refusal of the engine shows a code."""

import re
from collections import deque
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from models.core.audit.titles import authority_title
from models.core.jobs.kinds import KINDS
from models.core.organisation.units import ALL_MATTERS
from models.core.policy.service import policy, role_title
from models.core.processes.definition import PHASES, Effect, Phase, Process
from models.core.processes.engine import CaseState, Command
from models.core.processes.service import ROLES, shipped
from models.core.webhooks.topics import TOPICS
from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from serving.web.desk.keeping import AREAS
from tests.unit.models_core.life import Life, at

CODE = re.compile(r"[A-Za-z_]{2,}")
_MOST_STANDS = 40
"""Markings of a process that are tried: the parallel one has hundreds that differ by branch only."""


def is_chinese(text: str) -> bool:
    return bool(text.strip()) and re.search(r"[\u4e00-\u9fff]", text) is not None


def test_everything_that_is_a_code_has_a_chinese_name() -> None:
    rules = policy()
    names = {
        **{f"role {name}": role.title for name, role in rules.roles.items()},
        **{f"permission {name}": permission.title for name, permission in rules.permissions.items()},
        **{f"phase {phase}": PHASES[phase] for phase in Phase},
        **{f"job {name}": kind.title for name, kind in KINDS.items()},
        **{f"topic {name}": title for name, title in TOPICS.items()},
        **{f"area {name}": area.title for name, area in AREAS.items()},
        **{f"{process}.{step.step}": step.title for process, body in shipped().items() for step in body.steps},
        **{f"{process}.{action.action}@{action.at}": action.title for process, body in shipped().items() for action in body.actions},
        **{f"{table}.{code}": label for table in ("L.outcome", "L.special_kind", "L.activity", "L.channel", "L.limit_unit") for code, label in code_tables()[table].items()},
        **{f"document {name}": name for body in shipped().values() for action in body.actions for name in action.documents},
    }
    assert len(names) > 250 and {name: title for name, title in names.items() if not is_chinese(title)} == {}
    assert all(role_title(role) != role for role in ROLES) and ALL_MATTERS == "*"


def test_on_what_somebody_acted_is_told_in_words() -> None:
    root = Path(__file__).parents[3]
    written = {found for room in ("models", "pipelines", "serving") for path in (root / room).rglob("*.py") for found in re.findall(r'authority="([^"]+)"', path.read_text(encoding="utf-8"))}
    told = {each: authority_title(each, {"B01": "住建局"}) for each in written | {"self", "authorisation:1", "complaint", "bad review", "appeal:1", "permission:case:act"}}
    assert len(written) >= 7 and [each for each, title in told.items() if CODE.search(title)] == []
    assert authority_title("clerk@B01 for party:1", {"B01": "住建局"}) == "窗口人员，住建局，应申请人要求" and authority_title("of old") == "of old"


@pytest.mark.parametrize("process", sorted(shipped()))
def test_no_refusal_of_the_engine_shows_a_code(process: str) -> None:
    body = shipped()[process]
    said: set[str] = set()
    for stands in _lives(body):
        for action in body.actions:
            for roles, more in (
                (frozenset[str](), {}), (ROLES, {"reason": None}), (ROLES, {"special_kind": "holiday"}), (ROLES, {"outcome": "nothing", "missing": ("照片", "照片")}),
                (ROLES, {"extension_days": 400}), (ROLES, {"missing": ("照片",)}), (ROLES, {"special_kind": "hearing"}),
            ):  # fmt: skip
                try:
                    stands.engine.apply(stands.state, _command(action.action, roles, more))
                except YiwangError as error:
                    said.add(error.message)
    assert len(said) > 5 and sorted(message for message in said if CODE.search(message)) == []


def _command(action: str, roles: frozenset[str], more: dict[str, Any]) -> Command:

    return Command(action, at("03-04"), roles, **({"reason": "依法"} | more))


def _lives(process: Process) -> list[Life]:
    """Cases at the places where the process can stand, each reached by a first way."""
    expires_on = date(2025, 12, 31) if process.is_renewal else None
    start = Life(process, is_commitment=False, expires_on=expires_on)
    found: dict[Any, CaseState] = {start.state.marking: start.state}
    queue = deque([start.state])
    while queue and len(found) < _MOST_STANDS:
        state = queue.popleft()
        for action in process.actions:
            more: dict[str, Any] = {}
            if action.effect is Effect.SUSPEND:
                more = {"special_kind": process.rules.special[0], "has_written_notice": True}
            elif action.effect is Effect.COMPLETE:
                more = {"outcome": action.outcomes[0]}
            elif action.effect is Effect.EXTEND:
                more = {"extension_days": 1}
            elif action.effect is Effect.TRANSFER:
                more = {"unit_code": "B02"}
            try:
                after = start.engine.apply(state, _command(action.action, ROLES, more | {"step": action.at})).state
            except YiwangError:
                continue
            if (key := (after.marking, after.is_suspended, after.is_extended)) not in found:
                found[key] = after
                queue.append(after)
    lives = []
    for state in found.values():
        life = Life(process, expires_on=expires_on)
        life.state = state
        lives.append(life)
    return lives
