"""What goes up is what the sources wrote: every item in clear of every line of a package, beside the delivered files."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from models.domain.contracts import SUBJECTS, columns, python_type
from models.domain.settings import Settings
from quality.reporting import service
from quality.reporting.service import Period

AT = datetime(2026, 7, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A copy of the built city, to build packages in."""
    target = tmp_path_factory.mktemp("reported") / "home"
    shutil.copytree(city, target)
    return Settings(home=target, threads=1)


def built(home: Settings, subject: str) -> service.Package:
    """The package of all days of a subject, after that of the cases."""
    if subject != "case":
        built(home, "case")
    return next(iter(service.packages(home, subject)), None) or service.build(home, subject, Period.parse("2000-01-01..2026-06-29"), AT)


def told(folder: Path, subject: str) -> str:
    """The lines of a package as a relation of texts."""
    fields = {item.field: "VARCHAR" for item in service.read_manifest(folder).items if item.state != "absent"}
    return f"read_json('{folder / subject}.jsonl', columns = {fields | {'action': 'VARCHAR', 'source': 'VARCHAR'}})"


@pytest.mark.parametrize("subject", ["case", "certificate"])
def test_every_item_in_clear_is_what_the_source_wrote(home: Settings, subject: str) -> None:
    package = built(home, subject)
    folder = service.folder_of(home, package.number)
    items = service.read_manifest(folder).items
    key = next(name for name, column in columns(SUBJECTS[subject]).items() if column.key)
    compared, differing = 0, {}
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{home.zone}'")
        connection.execute(f"CREATE VIEW line AS FROM {told(folder, subject)}")
        connection.execute(f"CREATE VIEW delivered AS FROM read_parquet('{home.home}/sample/{subject}/*.parquet', union_by_name = true)")
        there = {row[0]: row[1] for row in connection.execute("DESCRIBE delivered").fetchall()}
        for item in (item for item in items if item.state == "clear" and item.field in there):
            said, source = f"l.{item.field}", f"d.{item.field}"
            kind = python_type(SUBJECTS[subject].model_fields[item.field])
            same = f"CAST({said} AS TIMESTAMPTZ) = date_trunc('second', {source})" if kind is datetime else f"{said} = CAST({source} AS VARCHAR)"
            # the newest of several versions that were delivered is the one that counts
            wrong = connection.execute(
                f"""SELECT count(*), any_value({said}), any_value(l.{key}) FROM line AS l
                JOIN (FROM delivered QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY updated_at DESC) = 1) AS d USING ({key})
                WHERE NOT coalesce({same}, {said} IS NULL AND {source} IS NULL) AND NOT ({source} IS NULL AND {bool(item.why)})"""
            ).fetchall()[0]
            compared += 1
            if wrong[0]:
                differing[item.field] = wrong
    assert differing == {} and compared > 10


def test_long_term_goes_up_as_a_word(home: Settings) -> None:
    package = built(home, "certificate")
    with duckdb.connect() as connection:
        lines = told(service.folder_of(home, package.number), "certificate")
        counted = connection.execute(f"SELECT count(*) FILTER (valid_to = '长期'), count(*) FILTER (valid_to IS NULL) FROM {lines}").fetchall()
    assert counted[0][0] > 100 and counted[0][1] == 0
    item = next(item for item in service.read_manifest(service.folder_of(home, package.number)).items if item.field == "is_long_term")
    assert (item.state, item.why) == ("absent", "由有效期止写明“长期”")
