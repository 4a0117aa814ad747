"""The sample city in the operational store, on both databases, and the sync that reads it: the same records, then only what is new."""

import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
import yaml

from models.core.cases.service import act, load, open_case
from models.core.crypto.service import provider
from models.core.feedback.service import NewReview, review
from models.core.parties.service import find, masked
from models.core.policy.service import Grant, Principal, policy
from models.core.processes.engine import Command
from models.core.processes.service import ROLES, shipped
from models.core.work.service import Actor, Work, work
from models.domain.clock import Limits
from models.domain.contracts import Matter, columns
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import CaseFile, Feedback, Party, Task
from pipelines.pouring.service import pour
from pipelines.sample.service import write_sample
from tests.support.city import ENVIRONMENT, UNTIL, YIWANG
from tests.support.postgres import PASSWORD, Server
from tests.support.sync import SyncHome

EXAMPLE = Path(__file__).parents[2] / "examples" / "operational.sources.yml"
ANYBODY = Actor("u1", ROLES, "NONE", "all roles")
SUBJECTS = ("matter", "case", "case_event", "review")
HELD = {
    # versions have running numbers, and one ends where the next begins
    "matter": ", ".join(name for name in columns(Matter) if name not in ("version", "effective_to")),
    "case": "case_number, matter_code, matter_name, case_kind_code, channel_code, region_code, received_at, department_name, department_code, accepted_at, "
    "completed_at, outcome_code, window_code, is_commitment, updated_at",
    "case_event": "case_number, sequence, activity_code, occurred_at, department_code, special_code, special_started_at, special_ended_at, special_kind_code, "
    "has_written_notice, extension_days, updated_at",
    "review": "case_number, review_channel_code, reviewed_at, satisfaction_code, region_code, department_code, is_default, is_anonymous, visited_at, rectify_due_on, "
    "rectified_at, updated_at",
}
"""What the store holds and gives away: no personal data, nothing that the sample alone knows of the people behind the steps."""


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("city")
    write_sample(home, 1000, UNTIL, errors=0)
    return home


@pytest.fixture
def poured(sample: Path, tmp_path: Path, database_settings: Settings, database: Database) -> Settings:
    shutil.copytree(sample / "sample", database_settings.home / "sample")
    settings = database_settings
    done = pour(settings)
    assert done.rows["case_file"] >= 1000 and done.rows["case_event"] > 5000
    return settings


def home_of(settings: Settings, folder: Path) -> SyncHome:
    """A home of the pipelines whose sources are the store's views, in place of the sample's files for three subjects."""
    made = SyncHome.make(folder)
    content = yaml.safe_load(EXAMPLE.read_text())
    url = settings.database_url.get_secret_value() if settings.database_url else f"sqlite:///{settings.home / 'operational.db'}"
    for source in content["sources"]:
        source["location"] = url if source.get("kind") == "sql" else str(settings.home / source["location"])
    made.yml.write_text(yaml.safe_dump(content))
    return made


def raw(settings: Settings, subject: str, columns: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        return connection.execute(f'SELECT {columns} FROM raw."{subject}" ORDER BY ALL').fetchall()


def test_the_sync_reads_from_the_store_what_it_reads_from_the_files(poured: Settings, tmp_path: Path) -> None:
    from_files, from_store = SyncHome.make(tmp_path / "files"), home_of(poured, tmp_path / "store")
    content = yaml.safe_load(EXAMPLE.read_text())
    for source in content["sources"]:
        if source.get("kind") == "sql":
            name = source["subject"]
            source.clear()
            source |= {"name": "sample", "subject": name, "location": f"sample/{name}/*.parquet", "cursor": "updated_at"}
            if name == "matter":
                source["key"] = ["matter_code", "version"]  # every version is kept
            if name == "calendar_day":
                continue
        source["location"] = str(poured.home / source["location"])
    content["sources"] = [source for source in content["sources"] if source["subject"] != "calendar_day"]  # the sample decides no day
    from_files.yml.write_text(yaml.safe_dump(content))
    from_files.sync(SUBJECTS)
    from_store.sync(SUBJECTS)
    for subject, held in HELD.items():
        assert raw(from_store.settings, subject, held) == raw(from_files.settings, subject, held), subject


def test_what_was_poured_can_be_gone_on_with_and_shows_no_name(poured: Settings, database: Database) -> None:
    crypto = provider(poured)
    with database.read() as session:
        party = session.scalars(sa.select(Party).limit(1)).one()
        shown = masked(crypto, party)
        assert "*" in shown.number
        number = crypto.decrypt(party.number, _place(party))
        assert find(session, crypto, party.id_type_code, number) is not None
        waiting = session.scalars(sa.select(Task.case_id).join(CaseFile, CaseFile.id == Task.case_id).where(Task.closed_at.is_(None), CaseFile.kind == "public")).all()
    assert waiting
    gone_on = 0
    for case_id in waiting:
        with work(database, ANYBODY, datetime(2026, 7, 1, 2, tzinfo=UTC)) as now:
            _, state, engine = load(now.session, case_id)
            for action in engine.possible(state, ROLES, now.at):
                if action.at is not None and action.effect not in ("ask_correction",):
                    act(now, case_id, Command(action.action, now.at, ROLES, reason="续办", outcome=action.outcomes[0] if action.outcomes else None))
                    gone_on += 1
                    break
    assert gone_on == len(waiting)


def _place(party: Party) -> Any:
    from models.core.crypto.types import Place

    return Place("party", "number", party.id)


def test_pouring_again_changes_nothing_and_does_not_mix(poured: Settings, database: Database) -> None:
    def counts() -> list[int]:
        with database.read() as session:
            return [session.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in (CaseFile, Task, Feedback, Party)]

    before = counts()
    pour(poured)
    assert counts() == before
    with work(database, ANYBODY, datetime(2020, 1, 1, tzinfo=UTC)) as now:
        open_case(now, shipped()["licence"], "REAL-1", "NONE")
    with pytest.raises(YiwangError) as caught:
        pour(poured)
    assert caught.value.code == "YW-POUR-001"
    pour(poured, beside=True)


def test_pouring_that_is_killed_is_finished_by_the_next(sample: Path, database_settings: Settings, database: Database) -> None:
    shutil.copytree(sample / "sample", database_settings.home / "sample")
    url = {"YIWANG_DATABASE_URL": database_settings.database_url.get_secret_value()} if database_settings.database_url else {}
    process = subprocess.Popen([YIWANG, "pour", "--home", str(database_settings.home)], env=os.environ | ENVIRONMENT | url, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with database.read() as session:
            if session.scalar(sa.select(sa.func.count()).select_from(CaseFile)):
                process.send_signal(signal.SIGKILL)
                break
        time.sleep(0.01)
    process.wait()
    done = pour(database_settings)
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(CaseFile)) == done.rows["case_file"]


def test_only_what_is_new_is_read_deletions_included(poured: Settings, database: Database, tmp_path: Path) -> None:
    home, crypto = home_of(poured, tmp_path / "store"), provider(poured)
    home.sync(SUBJECTS)
    assert sum(count.inserted + count.updated + count.deleted for count in home.sync(SUBJECTS)) == 0, "nothing is new"
    at = datetime.now(UTC) - timedelta(minutes=10)
    with work(database, ANYBODY, at) as now:
        party = now.session.scalars(sa.select(Party.id).limit(1)).one()
        case = open_case(now, shipped()["licence"], "NEW-1", "NONE", limits=Limits("01", 10, "wd", 20, "wd"), applicant_id=party, channel_code="2")
        open_case(now, shipped()["licence"], "DRAFT-1", "NONE")
        for number, action in enumerate(("submit", "pass", "accept", "handle", "review", "grant")):
            act(now, case.id, Command(action, at + timedelta(seconds=number), ROLES))
        access = policy().access(Principal("me", frozenset({Grant("applicant")}), party), "feedback:give")
        review(now, crypto, poured, access, case.id, 6, NewReview(5, "mobile"))
        gone = now.session.scalars(sa.select(CaseFile).where(CaseFile.kind == "public", CaseFile.phase == "closed").limit(1)).one()
        gone.deleted_at, gone.deleted_reason, gone.updated_at = now.at, "重复登记", now.at
        deleted = gone.case_number
    counts = {count.subject: count for count in home.sync(SUBJECTS)}
    assert (counts["case"].inserted, counts["case"].updated, counts["case"].deleted) == (1, 0, 1)
    assert counts["case_event"].inserted == 6 and counts["case_event"].deleted >= 3
    assert (counts["review"].inserted, counts["review"].updated) == (1, 0)
    with duckdb.connect(str(home.settings.warehouse), read_only=True) as connection:
        stored = connection.execute("SELECT case_number, outcome_code, _is_deleted FROM raw.\"case\" WHERE case_number IN ('NEW-1', 'DRAFT-1', ?)", [deleted]).fetchall()
        assert sorted(row[0::2] for row in stored) == sorted([("NEW-1", False), (deleted, True)])
        internal = connection.execute("SELECT count(*) FROM raw.\"case\" WHERE case_number LIKE 'ZG%'").fetchall()
        assert internal == [(0,)], "the follow-up of the bad review is no case of the city"


def test_a_pause_says_when_it_ended_and_a_deemed_acceptance_says_nothing(poured: Settings, database: Database, tmp_path: Path) -> None:
    home = home_of(poured, tmp_path / "store")
    start = datetime(2026, 10, 12, 2, tzinfo=UTC)  # later than all that was poured
    with work(database, ANYBODY, start) as now:
        paused = open_case(now, shipped()["licence"], "PAUSED-1", "NONE", limits=Limits("01", 10, "wd", 20, "wd"))
        silent = open_case(now, shipped()["licence"], "SILENT-1", "NONE", limits=Limits("01", 10, "wd", 20, "wd"))
        for action, more in (("submit", {}), ("pass", {}), ("accept", {}), ("suspend", {"reason": "检验", "special_kind": "inspection", "has_written_notice": True})):
            act(now, paused.id, Command(action, start, ROLES, **more))  # type: ignore[arg-type]
        act(now, silent.id, Command("submit", start, ROLES))
    home.sync(SUBJECTS)
    later = start + timedelta(days=20)
    with work(database, ANYBODY, later) as now:
        act(now, paused.id, Command("resume", later, ROLES))
        act(now, silent.id, Command("handle", later, ROLES))
    home.sync(SUBJECTS)
    with duckdb.connect(str(home.settings.warehouse), read_only=True) as connection:
        ended = connection.execute("SELECT special_ended_at = ? FROM raw.case_event WHERE case_number = 'PAUSED-1' AND activity_code = 'suspended'", [later]).fetchall()
        accepted = connection.execute("SELECT accepted_at FROM raw.\"case\" WHERE case_number = 'SILENT-1'").fetchall()
    assert ended == [(True,)] and accepted == [(None,)]


def handed_in(now: Work, number: str) -> None:
    case = open_case(now, shipped()["licence"], number, "NONE", limits=Limits("01", 10, "wd", 20, "wd"))
    act(now, case.id, Command("submit", now.at, ROLES))


def there(home: SyncHome, number: str) -> tuple[int, int]:
    """How many cases, and how many steps, of this number the warehouse has."""
    (found,) = home.rows("SELECT (SELECT count(*) FROM raw.\"case\" WHERE case_number = ?), (SELECT count(*) FROM raw.case_event WHERE case_number = ?)", number, number)
    return (found[0], found[1])


@pytest.mark.parametrize("database_settings", ["postgresql"], indirect=True)
def test_a_case_that_is_committed_late_is_not_lost(poured: Settings, database: Database, tmp_path: Path) -> None:
    home, at = home_of(poured, tmp_path / "store"), datetime.now(UTC)
    home.sync(SUBJECTS)
    with work(database, ANYBODY, at - timedelta(hours=2)) as late:  # further back than look_back: it is the open transaction that is remembered
        late.session.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        handed_in(late, "LATE-1")
        with work(database, ANYBODY, at) as prompt:
            handed_in(prompt, "PROMPT-1")
        home.sync(SUBJECTS)
        assert (there(home, "PROMPT-1"), there(home, "LATE-1")) == ((1, 1), (0, 0))
    home.sync(SUBJECTS)
    assert there(home, "LATE-1") == (1, 1)


def test_a_host_whose_clock_is_ten_minutes_slow_loses_nothing(poured: Settings, database: Database, tmp_path: Path) -> None:
    home, at = home_of(poured, tmp_path / "store"), datetime.now(UTC)
    with work(database, ANYBODY, at) as now:
        handed_in(now, "RIGHT-1")
    for _ in range(3):  # until the reader stands at that case and remembers nothing from before it
        home.sync(SUBJECTS)
    with work(database, ANYBODY, at - timedelta(minutes=10)) as now:
        handed_in(now, "SLOW-1")
    counts = {count.subject: count for count in home.sync(SUBJECTS)}
    assert there(home, "SLOW-1") == (1, 1) and counts["case"].inserted == 1
    assert sum(count.inserted + count.updated + count.deleted for count in home.sync(SUBJECTS)) == 0, "what is read again is no news"


@pytest.mark.slow
@pytest.mark.parametrize("database_settings", ["postgresql"], indirect=True)
def test_who_may_read_the_views_only_can_synchronise_and_see_no_party(poured: Settings, database: Database, postgres: Server, tmp_path: Path) -> None:
    views, role = "sync_calendar_day, sync_case, sync_case_event, sync_department, sync_matter, sync_review, sync_window", f"reader_{uuid.uuid4().hex[:8]}"
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
        connection.exec_driver_sql(f"GRANT SELECT ON {views} TO {role}")
    try:
        home, url = home_of(poured, tmp_path / "store"), postgres.url_of(str(database.url.database), role)
        content = yaml.safe_load(home.yml.read_text())
        for source in content["sources"]:
            source["location"] = url if source.get("kind") == "sql" else source["location"]
        home.yml.write_text(yaml.safe_dump(content))
        counts = {count.subject: count for count in home.sync(SUBJECTS)}
        assert all(counts[subject].inserted > 100 for subject in SUBJECTS)
        engine = sa.create_engine(sa.engine.make_url(url).set(drivername="postgresql+psycopg"))
        for table in ("party", "case_file", "feedback"):
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), engine.connect() as connection:
                connection.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608 - names of our own tables
        engine.dispose()
    finally:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")


@pytest.mark.slow
def test_a_run_on_the_store_gives_the_scores_of_the_run_on_the_files(poured: Settings, tmp_path: Path) -> None:
    def figures(home: Path, table: str) -> list[tuple[Any, ...]]:
        [file] = (home / "snapshots").glob("*.duckdb")
        with duckdb.connect(str(file), read_only=True) as connection:
            names = [row[0] for row in connection.execute(f"DESCRIBE marts.{table}").fetchall() if row[0] not in ("_run_seq", "run_id", "as_of")]
            return connection.execute(f"SELECT {', '.join(names)} FROM marts.{table} ORDER BY ALL").fetchall()

    by_files = tmp_path / "files"
    write_sample(by_files, 1000, UNTIL, errors=0)
    by_store = home_of(poured, tmp_path / "store")
    shutil.copy(by_store.yml, by_store.settings.home / "sources.yml")
    for home in (by_files, by_store.settings.home):
        done = subprocess.run([YIWANG, "run", "--home", str(home)], capture_output=True, text=True, check=False, env=os.environ | ENVIRONMENT)
        assert done.returncode == 0, done.stdout + done.stderr
    for table in ("mart_department_day", "score_indicator_month", "score_department_month", "mart_case_timeliness", "mart_review_summary", "mart_channel_month"):
        assert figures(by_store.settings.home, table) == figures(by_files, table), table


@pytest.mark.slow
@pytest.mark.parametrize("database_settings", ["sqlite"], indirect=True)
def test_a_case_and_a_bad_review_entered_here_are_in_the_next_score(poured: Settings, database: Database, tmp_path: Path) -> None:
    home, crypto = home_of(poured, tmp_path / "store").settings.home, provider(poured)
    shutil.copy(tmp_path / "store" / "sources.yml", home / "sources.yml")

    def satisfied(unit: str) -> tuple[Any, ...]:
        """Run, then satisfied of all reviews, and the cases of the unit."""
        done = subprocess.run([YIWANG, "run", "--home", str(home)], capture_output=True, text=True, check=False, env=os.environ | ENVIRONMENT)
        assert done.returncode == 0, done.stdout + done.stderr
        newest = json.loads((home / "snapshots" / "current.json").read_text())
        with duckdb.connect(str(home / "snapshots" / newest["file"]), read_only=True) as connection:
            query = "SELECT numerator, denominator, score FROM marts.score_indicator_month WHERE department_code = ? AND indicator_code = 'M18' AND month = DATE '2026-06-01'"
            (rated,) = connection.execute(query, [unit]).fetchall()
            (cases,) = connection.execute("SELECT count(*) FROM marts.fct_case WHERE department_code = ?", [unit]).fetchall()
        return (*rated, *cases)

    with database.read() as session:
        june = sa.and_(Feedback.given_at >= datetime(2026, 6, 1, tzinfo=UTC), Feedback.kind == "review", sa.not_(Feedback.is_default))
        most = sa.select(CaseFile.unit_code).join(Feedback, Feedback.case_id == CaseFile.id).where(june).group_by(CaseFile.unit_code)
        unit = session.scalars(most.order_by(sa.func.count().desc(), CaseFile.unit_code).limit(1)).one()  # one that has reviews enough for a score
        last = session.scalars(sa.select(CaseFile).where(CaseFile.unit_code == unit, CaseFile.applicant_id.is_not(None)).order_by(CaseFile.id.desc()).limit(1)).one()
        at = session.scalars(sa.select(sa.func.max(CaseFile.updated_at))).one() + timedelta(seconds=1)
    before = satisfied(last.unit_code)
    with work(database, ANYBODY, at) as now:
        matter = {"code": last.matter_code, "version": last.matter_version, "name": last.matter_name}
        case = open_case(
            now, shipped()["licence"], "NEW-1", last.unit_code, limits=Limits("01", 10, "wd", 20, "wd"), matter=matter, applicant_id=last.applicant_id,
            channel_code="2", region_code=last.region_code,
        )  # fmt: skip
        for action in ("submit", "pass", "accept", "handle", "review", "grant"):
            act(now, case.id, Command(action, at, ROLES))
        access = policy().access(Principal("me", frozenset({Grant("applicant")}), last.applicant_id), "feedback:give")
        review(now, crypto, poured, access, case.id, 6, NewReview(5, "mobile"))
    after = satisfied(last.unit_code)
    assert (after[0], after[1], after[3]) == (before[0], before[1] + 1, before[3] + 1)
    assert after[2] < before[2], "one bad review more, a lower score"
