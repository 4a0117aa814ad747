"""The sample city: the same rows for any chunk, carried on by days, right values valid and whole."""

import hashlib
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.domain import identifiers as ids
from models.domain.contracts import SUBJECTS, key_of
from models.domain.errors import YiwangError
from models.domain.schema import arrow_schema, sql_checks
from models.domain.settings import Settings
from pipelines.sample.days import counts, day_number
from pipelines.sample.places import places
from pipelines.sample.service import extend_sample, write_sample
from pipelines.sample.sources import WRITTEN
from pipelines.sources.service import load_sources, run_lock

UNTIL = date(2026, 3, 31)
MOVING = ("case", "case_event", "certificate", "review")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand cases without errors."""
    home = tmp_path_factory.mktemp("city")
    write_sample(home, 2000, UNTIL, errors=0)
    return home


def part_files(home: Path) -> dict[str, Path]:
    """Part files by their place under ``sample``."""
    folder = home / "sample"
    return {str(p.relative_to(folder)): p for p in sorted(folder.glob("*/*.parquet"))}


def table(home: Path, subject: str) -> pa.Table:
    """All rows of a subject, in the order of its files."""
    return pa.concat_tables([pq.read_table(p) for p in sorted((home / "sample" / subject).glob("*.parquet"))])


def latest(home: Path, subject: str) -> pd.DataFrame:
    """The last version of each record."""
    key = key_of(SUBJECTS[subject])
    rows = table(home, subject).to_pandas().sort_values("updated_at", kind="stable")
    return rows.drop_duplicates(key, keep="last").sort_values(key).reset_index(drop=True)


def contents(home: Path) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in part_files(home).items()}


@pytest.mark.parametrize("chunk_days", [1, 13, 400])
def test_rows_do_not_depend_on_chunks(tmp_path: Path, chunk_days: int) -> None:
    since = date(2025, 12, 20)
    for name, days in (("a", 31), ("b", chunk_days)):
        write_sample(tmp_path / name, 400, UNTIL, since=since, errors=0.05, chunk_days=days)
    first, second = part_files(tmp_path / "a"), part_files(tmp_path / "b")
    assert first.keys() == second.keys()
    for name in first:
        assert pq.read_table(first[name]).equals(pq.read_table(second[name])), name
    ledgers = [pq.read_table(tmp_path / n / "sample/planted_errors.parquet").to_pandas() for n in "ab"]
    order = list(ledgers[0].columns)
    pd.testing.assert_frame_equal(*(x.sort_values(order).reset_index(drop=True) for x in ledgers))


def test_another_seed_is_another_history_of_the_same_city(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 8)):
        write_sample(tmp_path / name, 300, UNTIL, since=date(2026, 1, 1), seed=seed, errors=0)
    assert table(tmp_path / "a", "matter").equals(table(tmp_path / "b", "matter"))
    assert not table(tmp_path / "a", "case").equals(table(tmp_path / "b", "case"))


def test_a_day_depends_on_seed_size_and_day_alone(tmp_path: Path) -> None:
    first, last = day_number(date(2026, 1, 1)), day_number(date(2026, 3, 31))
    assert (counts(first, last, 40.0)[:20] == counts(first, first + 19, 40.0)).all()


@pytest.mark.parametrize("errors", [0, 0.03])
def test_an_added_day_changes_no_earlier_file(tmp_path: Path, errors: float) -> None:
    arguments = {"cases": 600, "since": date(2025, 11, 1), "errors": errors}
    write_sample(tmp_path, until=date(2026, 3, 30), **arguments)  # type: ignore[arg-type]
    before = contents(tmp_path)
    summary = write_sample(tmp_path, until=UNTIL, **arguments)  # type: ignore[arg-type]
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {f"{subject}/part-20260331-20260331.parquet" for subject in MOVING}
    assert summary.files == len(MOVING)
    assert len(pq.read_table(tmp_path / "sample/case/part-20260331-20260331.parquet")) > 0


def test_a_city_carried_on_in_steps_ends_as_one_carried_on_at_once(tmp_path: Path) -> None:
    since = date(2025, 11, 3)
    for name, stops in (("a", []), ("b", [date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 13)])):
        write_sample(tmp_path / name, 8, since, since=since, errors=0)
        for stop in [*stops, UNTIL]:
            extend_sample(tmp_path / name, stop)
    for subject in MOVING:
        pd.testing.assert_frame_equal(latest(tmp_path / "a", subject), latest(tmp_path / "b", subject))
    # Cases that were open came again, in their new state.
    versions = table(tmp_path / "b", "case").to_pandas()
    assert len(table(tmp_path / "a", "case")) < len(versions)
    first = versions.drop_duplicates("case_number").set_index("case_number").completed_at
    last = latest(tmp_path / "b", "case").set_index("case_number").completed_at
    assert (first.isna() & last.notna()).any()


def test_the_same_call_again_does_nothing_and_a_killed_one_is_cleaned_up(tmp_path: Path) -> None:
    write_sample(tmp_path, 200, UNTIL, since=date(2026, 2, 1))
    before = contents(tmp_path)
    (tmp_path / "sample/case/part-20260401-20260430.parquet").write_bytes(b"half")
    assert write_sample(tmp_path, 200, UNTIL, since=date(2026, 2, 1)).files == 0
    assert contents(tmp_path) == before


def test_another_city_is_replaced_only_when_asked(tmp_path: Path) -> None:
    write_sample(tmp_path, 200, UNTIL, since=date(2026, 2, 1))
    before = contents(tmp_path)
    for other in ({"cases": 300}, {"seed": 8}, {"until": date(2026, 3, 30)}, {"since": date(2026, 2, 2)}):
        arguments: dict[str, object] = {"cases": 200, "until": UNTIL, "since": date(2026, 2, 1)} | other
        with pytest.raises(YiwangError) as caught:
            write_sample(tmp_path, **arguments)  # type: ignore[arg-type]
        assert caught.value.code == "YW-SAMPLE-002"
        assert all(word in caught.value.message for word in ("200 件", "2026-02-01", "--replace", "--home"))
        assert contents(tmp_path) == before
    write_sample(tmp_path, 300, UNTIL, since=date(2026, 2, 1), replace=True)
    assert len(table(tmp_path, "case")) >= 300


@pytest.mark.parametrize("text", ["", "[]", '{"format": 0}'])
def test_a_city_of_another_version_is_no_exception(tmp_path: Path, text: str) -> None:
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "manifest.json").write_text(text)
    with pytest.raises(YiwangError, match="其他版本"):
        write_sample(tmp_path, 50, UNTIL, since=date(2026, 3, 1))
    write_sample(tmp_path, 50, UNTIL, since=date(2026, 3, 1), replace=True)


def command(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and error stream of ``yiwang sample``."""
    code = "from serving.cli.main import main; main()"
    called = subprocess.run([sys.executable, "-c", code, "sample", "--home", str(home), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    return called.returncode, called.stderr


@pytest.mark.parametrize("arguments", [["--cases", "5"], ["--cases", "10000001"], ["--until", "9999-12-31"], ["--until", "2041-01-01"], ["--until", "0001-01-01"], ["--until", "2003-12-31"]])
def test_the_command_refuses_sizes_and_days_in_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    returned, said = command(tmp_path, *arguments)
    assert returned == 2 and re.match("YW-(SAMPLE|DOMAIN)-001 ", said) and said.count("\n") == 1
    assert not (tmp_path / "sample").exists()


def test_the_command_keeps_a_city_and_waits_for_no_run(tmp_path: Path) -> None:
    with run_lock(Settings(home=tmp_path)):
        returned, said = command(tmp_path, "--cases", "1000")
    assert returned == 2 and said.startswith("YW-RUN-001") and not (tmp_path / "sample").exists()
    assert command(tmp_path, "--cases", "1000")[0] == 0
    before = contents(tmp_path)
    returned, said = command(tmp_path, "--cases", "1001")
    assert returned == 2 and said.startswith("YW-SAMPLE-002") and contents(tmp_path) == before
    assert command(tmp_path, "--cases", "1001", "--replace")[0] == 0
    assert contents(tmp_path) != before


def test_a_city_full_of_errors_can_be_written(tmp_path: Path) -> None:
    summary = write_sample(tmp_path, 300, UNTIL, since=date(2026, 2, 1), errors=0.5)
    assert sum(summary.planted.values()) > 500


def test_exactly_as_many_cases_as_asked(city: Path) -> None:
    assert len(table(city, "case")) == 2000


def test_sources_belong_to_the_user(tmp_path: Path) -> None:
    (tmp_path / "sources.yml").write_text("sources: []\n")
    write_sample(tmp_path, 50, UNTIL, since=date(2026, 3, 1))
    assert (tmp_path / "sources.yml").read_text() == "sources: []\n"


def test_the_pipelines_understand_the_sources(city: Path) -> None:
    assert {s.subject for s in load_sources(city / "sources.yml").sources} == set(WRITTEN)


@pytest.mark.parametrize("subject", WRITTEN)
def test_columns_and_values_are_those_of_the_contract(city: Path, subject: str) -> None:
    rows = table(city, subject)
    expected = arrow_schema(SUBJECTS[subject])
    assert rows.column_names == expected.names
    texts = {"issued_on", "valid_from", "valid_to"} if subject == "certificate" else set()
    assert {f.name: str(f.type) for f in rows.schema} == {f.name: "string" if f.name in texts else str(f.type) for f in expected}
    for field, check in sql_checks(SUBJECTS[subject]).items():
        assert duckdb.query(f"SELECT count(*) FROM rows WHERE NOT {check}").fetchall() == [(0,)], field
    versioned = ["version"] if subject == "matter" else []
    keys = rows.select([*key_of(SUBJECTS[subject]), *versioned]).to_pandas()
    assert not keys.duplicated().any() and not keys.isna().any().any()


def test_three_per_cent_of_the_matters_have_had_other_limits(city: Path) -> None:
    rows = table(city, "matter").to_pandas().sort_values(["matter_code", "effective_from"])
    versions = rows.groupby("matter_code").filter(lambda own: len(own) > 1).groupby("matter_code")
    assert 0.025 <= len(versions) / rows.matter_code.nunique() <= 0.035
    assert set(versions.size()) == {2, 3}
    for _, own in versions:
        assert own.effective_from.is_unique and own.promised_limit.is_monotonic_decreasing and own.promised_limit.nunique() > 1
        assert (own.promised_limit <= own.statutory_limit).all()
        ends = own.effective_to.iloc[:-1].dropna()
        assert list(ends) == list(own.effective_from.iloc[1:][own.effective_to.iloc[:-1].notna().to_numpy()])


def test_the_area_covers_each_street_from_a_day_on(city: Path) -> None:
    covered = table(city, "area_region").to_pandas()
    assert set(covered.region_code) == set(places().streets) and covered.valid_from.nunique() == 2
    assert covered.statement.str.contains("虚构").all()


def test_predecessors_name_their_successors(city: Path) -> None:
    for subject, key in (("department", "department_code"), ("region", "region_code")):
        rows = table(city, subject).to_pandas()
        gone = rows[rows.successor_code.notna()]
        assert len(gone) == 1 and gone.effective_to.notna().all() and set(gone.successor_code) <= set(rows[key])


@pytest.mark.parametrize(
    ("child", "field", "parent", "key"),
    [
        ("case", "matter_code", "matter", "matter_code"), ("case", "department_code", "department", "department_code"), ("case", "region_code", "region", "region_code"),
        ("case", "window_code", "window", "window_code"), ("case_event", "case_number", "case", "case_number"), ("case_event", "department_code", "department", "department_code"),
        ("certificate", "case_number", "case", "case_number"), ("certificate", "issuer_code", "department", "department_code"), ("review", "case_number", "case", "case_number"),
        ("review", "follows_review_id", "review", "review_id"), ("matter", "department_code", "department", "department_code"), ("window", "department_code", "department", "department_code"),
        ("region", "parent_code", "region", "region_code"),
    ],
)  # fmt: skip
def test_references_lead_somewhere(city: Path, child: str, field: str, parent: str, key: str) -> None:
    values = set(table(city, child)[field].drop_null().to_pylist())
    assert values <= set(table(city, parent)[key].to_pylist())


def test_people_cannot_exist_and_their_numbers_are_well_formed(city: Path) -> None:
    cases = table(city, "case").to_pandas()
    persons = cases[cases.applicant_id_type_code == "111"]
    firms = cases[cases.applicant_id_type_code == "990"]
    assert len(persons) > len(firms) > 0
    assert persons.applicant_id.map(ids.is_resident_id).all() and firms.applicant_id.map(ids.is_credit_code).all()
    assert persons.applicant_id.str.startswith("430199").all() and (firms.applicant_id.str[2:8] == "430199").all()
    assert cases.contact_phone.str.fullmatch("1990000[0-9]{4}").all()
    assert cases.contact_id.dropna().map(ids.is_resident_id).all()
    names = persons.groupby("applicant_id").applicant_name.nunique()
    assert (names == 1).all()


def test_certificate_numbers_have_their_check_character(city: Path) -> None:
    assert all(ids.is_certificate_id(c) for c in table(city, "certificate")["certificate_id"].to_pylist())


def test_events_are_in_order_and_nothing_is_after_the_horizon(city: Path) -> None:
    events = table(city, "case_event").to_pandas().sort_values(["case_number", "sequence"])
    later = events.groupby("case_number").occurred_at.diff().dropna()
    assert (later >= pd.Timedelta(0)).all()
    assert (events.groupby("case_number").sequence.diff().dropna() == 1).all()
    assert ((events.ended_at - events.occurred_at).dropna() >= pd.Timedelta(0)).all()
    horizon = pd.Timestamp(UNTIL, tz="Asia/Shanghai") + pd.Timedelta(days=1)
    for subject in MOVING:
        for field in table(city, subject).schema:
            if pa.types.is_timestamp(field.type):
                assert (table(city, subject)[field.name].to_pandas().dropna() < horizon).all(), field.name


def test_a_case_agrees_with_its_events(city: Path) -> None:
    cases = table(city, "case").to_pandas().set_index("case_number")
    events = table(city, "case_event").to_pandas()
    for activity, field in (("received", "received_at"), ("accepted", "accepted_at"), ("completed", "completed_at")):
        own = events[events.activity_code == activity].set_index("case_number").occurred_at
        pd.testing.assert_series_equal(own.sort_index(), cases[field].dropna().sort_index(), check_names=False)


@pytest.mark.parametrize("wrong", [{"cases": 0}, {"errors": 0.6}, {"profile": "wild"}, {"since": date(2027, 1, 1)}, {"since": date(1999, 1, 1)}, {"until": date.max}, {"until": date.min}, {"until": date(2016, 6, 30)}, {"chunk_days": 0}])
def test_arguments_without_sense_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(YiwangError, match="样例参数有误"):
        write_sample(tmp_path, **({"cases": 10, "until": UNTIL} | wrong))  # type: ignore[arg-type]
    with pytest.raises(YiwangError, match="还没有样例城市"):
        extend_sample(tmp_path, UNTIL)


def test_a_city_is_not_carried_on_beyond_the_calendar(tmp_path: Path) -> None:
    write_sample(tmp_path, 10, UNTIL, since=date(2026, 3, 1))
    with pytest.raises(YiwangError, match="样例参数有误"):
        extend_sample(tmp_path, date.max)
