"""The clock in the warehouse says of every case what the clock in Python says (dbt runs once for the module)."""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.calendar import calendar_table, work_calendar
from models.domain.clock import PAUSE_KINDS, CaseFacts, Clocks, Event, Limits, clock
from models.domain.contracts import SUBJECTS
from models.domain.schema import raw_columns
from tests.support.examples import examples

PROJECT = Path(__file__).parents[2] / "dbt"
ZONE = ZoneInfo("Asia/Shanghai")
PARTS = [
    "dbt_project.yml",
    "macros/**/*.sql",
    "models/staging/sources.yml",
    "models/staging/stg_case.sql",
    "models/staging/stg_case_event.sql",
    "models/staging/stg_matter.sql",
    "models/staging/stg_department.sql",
    "models/staging/stg_calendar_day.sql",
    "models/intermediate/int_calendar.sql",
    "models/intermediate/int_department_current.sql",
    "models/intermediate/int_matter_version.sql",
    "models/intermediate/int_matter_seen.sql",
    "models/intermediate/int_case_touched.sql",
    "models/intermediate/int_case_clock.sql",
]
CASES = 6_000
DECIDED = {date(2026, 1, 1) + timedelta(offset * 9 % 700): offset % 3 == 0 for offset in range(60)} | {date(2028, 12, 31): False}
"""Days that the city decided otherwise; a year after one that is not published is not published by its last day."""
AS_OF = datetime(2026, 12, 9, 10, 30, tzinfo=ZONE)
COLUMNS = [field.name for field in fields(Clocks)]


class City:
    """Random matters and cases that crowd the borders: rest days, last days, the end of the calendar."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.matters = {f"M{n:03d}": self._limits() for n in range(120)}
        self.cases = {f"C{n:05d}": self._case() for n in range(CASES)}

    def limits(self, matter_code: str | None) -> Limits:
        return self.matters.get(matter_code or "", Limits())

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _instant(self, day: date) -> datetime:
        hour, minute = self.random.choice([(0, 0), (9, 30), (16, 59), (23, 59)])
        return datetime.combine(day, time(hour, minute), ZONE)

    def _limits(self) -> Limits:
        pick = self.random.choice
        length = {
            "wd": [0, 0, 1, 3, 5, 20],
            "cd": [0, 1, 7, 15, 30],
            "month": [0, 1, 1, 2, 6],
            None: [2, 10],
            "year": [1],
        }
        promised_unit = pick(["wd", "wd", "wd", "cd", "month", None])
        statutory_unit = pick(["wd", "wd", "cd", "month", None, "year"])
        return Limits(
            type_code=pick(["01", "01", "07", "20", None]),
            promised_limit=pick([*length[promised_unit], None]),
            promised_limit_unit=promised_unit,
            statutory_limit=pick([*length[statutory_unit], None, None, -1, 99_999]),
            statutory_limit_unit=statutory_unit,
            clock_start_code=pick([None, "acceptance", "acceptance", "receipt"]),
            is_joint=pick([None, False, True]),
            extension_cap=pick([None, None, None, 0, 5, 40]),
            is_publication_excluded=pick([None, False, True]),
        )

    def _case(self) -> tuple[str | None, CaseFacts]:
        pick, chance = self.random.choice, self._chance
        first = pick([date(2026, 1, 20), date(2026, 9, 20), date(2026, 11, 1), date(2026, 11, 20), date(2025, 1, 10)])
        if chance(0.03):
            first = pick([date(2003, 12, 20), date(2026, 12, 20), date(2031, 12, 1), date(2099, 1, 1)])
        received = self._instant(first + timedelta(self.random.randrange(40)))
        accepted = (
            received + timedelta(pick([0, 0, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 14, -1])) if chance(0.8) else None
        )
        completed = None
        if chance(0.6):
            completed = (accepted or received) + timedelta(
                pick([0, 0, 1, 3, 5, 7, 8, 10, 15, 20, 28, 31, 45, 62, 90, -2])
            )
        events = []
        if chance(0.25):
            events += self._corrections(received)
        if chance(0.3):
            events += self._pauses(accepted or received)
        if chance(0.2):
            events += self._extensions(accepted or received)
        for activity, share in [("accepted", 0.5), ("refused", 0.03), ("issued", 0.3), ("delivered", 0.2)]:
            if chance(share):
                start = accepted or received if activity in ("accepted", "refused") else completed or received
                events.append(Event(0, activity, start + timedelta(pick([0, 0, 1, 5, 9, 14, 15, 16]))))
        self.random.shuffle(events)
        facts = CaseFacts(
            received_at=None if chance(0.02) else received,
            accepted_at=accepted,
            completed_at=completed,
            outcome_code=pick(
                [None, "granted", "granted", "granted", "denied", "refused", "withdrawn", "void", "forwarded"]
            ),
            source_due_at=received + timedelta(pick([3, 10, 30]), minutes=1) if chance(0.06) else None,
            events=tuple(Event(**asdict(event) | {"sequence": n}) for n, event in enumerate(events, 1)),
        )
        return (None if chance(0.02) else f"M{self.random.randrange(125):03d}"), facts

    def _corrections(self, received: datetime) -> list[Event]:
        asked = received + timedelta(self.random.choice([0, 1, 4, 5, 6, 7, 8, 9, 10, 12]))
        events = [Event(0, "correction_asked", asked)]
        if self._chance(0.2):
            events.append(Event(0, "correction_asked", asked + timedelta(2)))
        for _ in range(self.random.choice([0, 1, 1, 1, 2])):
            back = asked + timedelta(self.random.choice([-1, 0, 1, 3, 7, 15]))
            events.append(Event(0, "correction_submitted", back))
        if self._chance(0.1):
            events.append(Event(0, "pre_review_returned", received))
        return events

    def _pauses(self, start: datetime) -> list[Event]:
        pick = self.random.choice
        events = []
        for _ in range(pick([1, 1, 2, 3, 4])):
            began = start + timedelta(pick([-3, 0, 1, 2, 3, 5, 8, 13, 20, 28, 40]))
            ended = began + timedelta(pick([0, 1, 2, 4, 7, 10, 16, 30, -1])) if self._chance(0.75) else None
            events.append(
                Event(
                    0,
                    pick(["suspended", "suspended", "handled", None]),
                    began + timedelta(minutes=5) if self._chance(0.9) else None,
                    pick(["2", "2", "2", None]),
                    pick([*sorted(PAUSE_KINDS), "publication", "publication", None]),
                    began if self._chance(0.8) else None,
                    ended,
                    pick([None, True, True, False]),
                )
            )
            if self._chance(0.4):
                events.append(Event(0, "resumed", began + timedelta(pick([0, 2, 6, 12])), pick(["2", None])))
        return events

    def _extensions(self, start: datetime) -> list[Event]:
        pick = self.random.choice
        return [
            Event(
                0,
                pick(["extended", "extended", "approved"]),
                start + timedelta(pick([0, 1, 3, 5, 7, 8, 20, 28, 30, 31, 45])) if self._chance(0.95) else None,
                pick(["1", "1", None]),
                special_started_at=start + timedelta(2) if self._chance(0.2) else None,
                extension_days=pick([None, 0, -1, 1, 3, 10, 11, 15, 20, 50]),
            )
            for _ in range(pick([1, 1, 1, 2]))
        ]


def _load(connection: duckdb.DuckDBPyConnection, subject: str, rows: list[dict[str, Any]]) -> None:
    columns = raw_columns(SUBJECTS[subject])
    connection.execute(f'CREATE TABLE raw."{subject}" ({", ".join(f"{c} {t}" for c, t in columns.items())})')
    if rows:
        connection.register(
            "records", pa.Table.from_pylist([{"_is_deleted": False, "_run_seq": 1} | row for row in rows])
        )
        connection.execute(f'INSERT INTO raw."{subject}" BY NAME SELECT * FROM records')


def _write(city: City, path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA raw; CREATE SCHEMA ops")
        connection.register("work_calendar", calendar_table())
        connection.execute("CREATE TABLE raw.calendar AS SELECT * FROM work_calendar")
        # every third matter is known to another source only, some to both: a case's own source comes first
        matters = []
        for n, (code, limits) in enumerate(city.matters.items()):
            matters.append({"source": "b" if n % 3 == 0 else "city", "matter_code": code} | asdict(limits))
            if n % 3 == 1:
                matters.append({"source": "a", "matter_code": code, "type_code": "01", "promised_limit": 999})
        _load(connection, "matter", matters)
        connection.execute("CREATE TABLE raw.matter_history AS SELECT *, 0 AS _known_to_seq FROM raw.matter LIMIT 0")
        cases, events = [], []
        for number, (matter_code, facts) in city.cases.items():
            case = {field.name: getattr(facts, field.name) for field in fields(facts) if field.name != "events"}
            cases.append({"source": "city", "case_number": number, "matter_code": matter_code} | case)
            events += [{"source": "city", "case_number": number} | asdict(event) for event in facts.events]
        _load(connection, "case", cases)
        _load(connection, "case_event", events)
        _load(connection, "calendar_day", [{"source": "city", "day": day, "is_working": is_working} for day, is_working in DECIDED.items()])
        for subject in set(SUBJECTS) - {"matter", "case", "case_event", "calendar_day"}:
            _load(connection, subject, [])


PROFILE = """\
yiwang:
  target: test
  outputs:
    test:
      type: duckdb
      path: {home}/warehouse.duckdb
      attach: [{{path: {home}/masked.duckdb, alias: masked}}]
      settings: {{TimeZone: UTC}}
"""


def _dbt(home: Path, *arguments: str) -> None:
    """Run dbt on the models that the clock needs, without the rest of the project."""
    (home / "profiles.yml").write_text(PROFILE.format(home=home), encoding="utf-8")
    for part in PARTS:
        for file in PROJECT.glob(part):
            target = home / "dbt" / file.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    dbt = str(Path(sys.executable).with_name("dbt"))
    folders = ["--project-dir", str(home / "dbt"), "--profiles-dir", str(home), "--log-path", str(home / "logs")]
    environment = os.environ | {"DBT_TARGET_PATH": str(home / "target")}
    done = subprocess.run([dbt, *arguments, *folders], env=environment, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def city() -> City:
    return City(seed=20260101)


@pytest.fixture(scope="module")
def clocked(city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    home = tmp_path_factory.mktemp("clock")
    _write(city, home / "warehouse.duckdb")
    _dbt(home, "run", "--select", "+int_case_clock", "--vars", f"{{as_of: '{AS_OF.isoformat()}', zone: '{ZONE.key}'}}")
    with duckdb.connect(home / "warehouse.duckdb", read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.sql("SELECT * FROM intermediate.int_case_clock").to_arrow_table().to_pylist()
    yield {row["case_number"]: row for row in rows}


def test_one_row_a_case_with_the_columns_of_the_clock(city: City, clocked: dict[str, dict[str, Any]]) -> None:
    assert set(clocked) == set(city.cases)
    assert list(next(iter(clocked.values()))) == ["source", "case_number", *COLUMNS]


def test_both_clocks_agree_on_every_case(city: City, clocked: dict[str, dict[str, Any]]) -> None:
    calendar = work_calendar().with_days(DECIDED)
    wrong = []
    for number, (matter_code, facts) in city.cases.items():
        limits = city.limits(matter_code)
        expected = asdict(clock(facts, limits, calendar, AS_OF, ZONE))
        got = {name: clocked[number][name] for name in COLUMNS}
        if got != expected:
            differences = {n: (expected[n], got[n]) for n in COLUMNS if expected[n] != got[n]}
            wrong.append((number, differences, limits, facts))
    assert not wrong, f"{len(wrong)} cases (python, sql): {wrong[:3]}"


@pytest.mark.parametrize(
    "condition",
    [
        "is_deemed_accepted", "correction_count > 1", "is_told_once_in_time", "is_paused", "paused_days > 0 and is_late",
        "extension_days > 0", "has_invalid_pause", "has_invalid_extension", "due_basis == 'source'",
        "due_basis == 'statutory' and is_late", "due_null_reason == 'no_limit'", "due_null_reason == 'not_accepted'",
        "provisional_due_on is not None", "is_delivery_late", "is_statutory_late is False", "net_working_days == 0",
        "clock_started_on != accepted_on and paused_days > 0", "extension_days > 0 and paused_days > 0",
    ],
)  # fmt: skip
def test_the_random_city_has_cases_where(condition: str, clocked: dict[str, dict[str, Any]]) -> None:
    hits = sum(bool(eval(condition, {}, row)) for row in clocked.values())  # noqa: S307 - the conditions above
    assert hits >= 10


def test_instants_are_utc(clocked: dict[str, dict[str, Any]]) -> None:
    row = next(row for row in clocked.values() if row["due_basis"] == "promised" and row["due_at"])
    assert row["due_at"] == datetime.combine(row["due_on"], time(15, 59, 59, 999_999), UTC)


@pytest.mark.property
@settings(max_examples=examples(60), deadline=None)
@given(st.dictionaries(st.dates(date(2025, 12, 1), date(2031, 12, 31)), st.booleans(), max_size=40), st.sets(st.integers(2026, 2031)))
def test_decided_days_give_the_same_calendar_in_sql(days: dict[date, bool], ended: set[int]) -> None:
    decided = days | {date(year, 12, 31): days.get(date(year, 12, 31), True) for year in ended}
    sql = (PROJECT / "models/intermediate/int_calendar.sql").read_text()
    sql = re.sub(r"\{#.*?#\}", "", sql, flags=re.DOTALL).replace("{{ ref('stg_calendar_day') }}", "decided_days").replace("{{ source('raw', 'calendar') }}", "work_calendar")
    rows = [{"source": "a", "day": day, "is_working": is_working, "updated_at": AS_OF, "_run_seq": 1} for day, is_working in decided.items()]
    older = [row | {"is_working": not row["is_working"], "updated_at": AS_OF - timedelta(1)} for row in rows[:5]]
    columns = pa.schema({"source": pa.string(), "day": pa.date32(), "is_working": pa.bool_(), "updated_at": pa.timestamp("us", "UTC"), "_run_seq": pa.int64()})
    with duckdb.connect() as connection:
        connection.register("work_calendar", calendar_table())
        connection.register("decided_days", pa.Table.from_pylist(older + rows, columns))
        got = connection.sql(f"SELECT * FROM ({sql}) ORDER BY day").fetchall()
    expected = work_calendar().with_days(decided)
    wanted = []
    for offset in range((expected.last_day - expected.published_from).days + 1):
        day = expected.published_from + timedelta(offset)
        wanted.append((day, expected.is_working(day), expected.number(day), expected.is_published(day), expected.holidays.get(day), expected.next_working(day)))
    assert got == wanted
