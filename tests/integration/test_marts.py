"""The aggregated marts, worked out anew from the facts with pandas, on a sample city with faults planted by hand.

The city is synchronised once; dbt then builds it as of two days, its own tests included. A last test changes records
and compares what the models carried on with what they build from nothing.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from models.domain.codes import code_tables
from models.domain.settings import Settings
from pipelines.sample.service import write_sample
from pipelines.warehouse.service import environment, executable, project_dir, variables

NOW, PAST = datetime.fromisoformat("2026-06-30T23:59:59+08:00"), datetime.fromisoformat("2026-01-31T12:00:00+08:00")
TOP = 5
"""Variants that a row of their own names, fewer than in production so that there is a remainder."""
LEVELS = ["1", "2", "3", "4", "5"]
PLANTED = """
    -- a case that names nothing, one without steps, one with a step dated far ahead, one that a list does not know
    UPDATE raw."case" SET matter_code = NULL, department_code = NULL, department_name = NULL, channel_code = NULL WHERE case_number = 'n0';
    UPDATE raw.case_event SET _is_deleted = true WHERE case_number = 'n1';
    UPDATE raw.case_event SET occurred_at = TIMESTAMPTZ '2099-01-01 00:00:00+08' WHERE case_number = 'n2' AND sequence = 2;
    UPDATE raw."case" SET matter_code = 'NOWHERE' WHERE case_number = 'n3';
    -- completed between PAST and NOW without a step then
    UPDATE raw."case" SET completed_at = TIMESTAMPTZ '2026-03-02 10:00:00+08' WHERE case_number = 'n5';
    -- the same step three times, twice in a row; a step in the source's own words
    UPDATE raw.case_event SET activity_code = 'accepted' WHERE case_number = 'n4' AND sequence IN (1, 2, 4);
    UPDATE raw.case_event SET activity_code = NULL, activity = '现场踏勘→复核' WHERE case_number = 'n5' AND sequence = 2;
    UPDATE raw."case" SET source_due_at = received_at + INTERVAL 1 MINUTE WHERE hash(case_number) % 20 = 0;
    -- steps of cases that were completed before PAST, dated between PAST and NOW; an acceptance, and the end of a pause
    CREATE TEMP TABLE done AS SELECT source, case_number, row_number() OVER (ORDER BY hash(case_number)) AS n FROM raw."case"
    WHERE completed_at BETWEEN TIMESTAMPTZ '2025-10-01 00:00:00+08' AND TIMESTAMPTZ '2026-01-15 00:00:00+08' AND NOT _is_deleted LIMIT 12;
    INSERT INTO raw.case_event BY NAME
    SELECT source, case_number, 90 AS sequence, false AS _is_deleted, 1 AS _run_seq, 5 AS extension_days,
        CASE n % 3 WHEN 0 THEN 'correction_asked' WHEN 1 THEN 'extended' ELSE 'suspended' END AS activity_code,
        CASE WHEN n % 3 = 2 THEN 'hearing' END AS special_kind_code,
        CASE WHEN n % 3 = 2 THEN TIMESTAMPTZ '2026-04-10 10:00:00+08' END AS special_ended_at,
        CASE WHEN n % 3 = 2 THEN TIMESTAMPTZ '2025-09-02 10:00:00+08' ELSE TIMESTAMPTZ '2026-04-10 10:00:00+08' END AS occurred_at
    FROM done WHERE n < 10;
    UPDATE raw."case" SET accepted_at = TIMESTAMPTZ '2026-04-10 10:00:00+08' WHERE case_number IN (SELECT case_number FROM done WHERE n >= 10);
    UPDATE raw.certificate SET case_number = NULL, issued_on = NULL WHERE certificate_id IN (FROM (SELECT certificate_id FROM raw.certificate ORDER BY 1 LIMIT 3));
    UPDATE raw.certificate SET case_number = 'gone' WHERE certificate_id IN (FROM (SELECT certificate_id FROM raw.certificate ORDER BY 1 DESC LIMIT 3));
    UPDATE raw.certificate SET certificate_state_code = 'rescinded', valid_to = DATE '2025-06-01'
    WHERE certificate_id IN (FROM (SELECT certificate_id FROM raw.certificate ORDER BY hash(certificate_id) LIMIT 4));
    UPDATE raw.review SET reviewed_at = NULL, review_channel_code = NULL, department_code = NULL
    WHERE review_id IN (FROM (SELECT review_id FROM raw.review ORDER BY review_id LIMIT 4));
    UPDATE raw.review AS t SET is_default = false, satisfaction_code = CASE n % 2 WHEN 0 THEN '4' ELSE '5' END,
        follows_review_id = CASE n % 7 WHEN 0 THEN 'an earlier one' END,
        rectify_due_on = CASE WHEN n % 4 > 0 THEN reviewed_at::DATE + 20 END,
        rectified_at = CASE WHEN n % 3 > 0 THEN reviewed_at + to_days((n % 40)::INTEGER) END
    FROM (SELECT review_id, row_number() OVER (ORDER BY review_id) AS n FROM raw.review) AS k
    WHERE t.review_id = k.review_id AND n % 5 = 0;
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A synchronised city."""
    settings = Settings(home=tmp_path_factory.mktemp("marts"), threads=1)
    write_sample(settings.home, cases=1000, until=NOW.date(), errors=0.02)
    command = [sys.executable, "-c", "from serving.cli.main import main; main()", "sync", "--home", str(settings.home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(str(settings.warehouse)) as connection:
        # six cases with at least five steps, received before PAST
        numbers = connection.execute(
            """
            SELECT case_number FROM raw."case" JOIN raw.case_event USING (source, case_number)
            WHERE received_at < TIMESTAMPTZ '2025-12-01 00:00:00+08' AND occurred_at < TIMESTAMPTZ '2026-01-01 00:00:00+08'
            GROUP BY ALL HAVING count(*) > 4 AND max(sequence) = count(*) ORDER BY case_number LIMIT 6
            """
        ).fetchall()
        planted = PLANTED
        for i, (number,) in enumerate(numbers):
            planted = planted.replace(f"'n{i}'", f"'{number}'")
        connection.execute(planted)
    return settings


def dbt(settings: Settings, as_of: datetime, *command: str, run_seq: int = 1) -> None:
    """Runs dbt on a home as a run does."""
    given = json.loads(variables(settings, "run", run_seq, as_of)) | {"path_variants": TOP}
    done = subprocess.run(
        [executable(), *command, "--vars", json.dumps(given), "--project-dir", str(project_dir()), "--profiles-dir", str(project_dir())],
        env={**os.environ, **environment(settings)}, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


Marts = dict[str, pd.DataFrame]


def frames(settings: Settings) -> Marts:
    """Every mart, and the paths, as frames; days and instants as Python has them, unknown as None."""
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute(f"ATTACH '{settings.marts}' AS masked (READ_ONLY)")
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'masked'").fetchall()]
        tables = {name: f"masked.marts.{name}" for name in names} | {"int_case_path": "intermediate.int_case_path"}
        read = {name: connection.sql(f"FROM {table}").to_arrow_table() for name, table in tables.items()}
    return {name: pd.DataFrame(table.to_pylist(), columns=table.column_names, dtype=object) for name, table in read.items()}


@pytest.fixture(scope="module")
def cities(home: Settings) -> dict[datetime, Marts]:
    """The city built as of now, then carried back, each time with dbt's own tests."""
    built = {}
    for as_of in (NOW, PAST):
        dbt(home, as_of, "build", "--exclude-resource-type", "unit_test")
        built[as_of] = frames(home)
    return built


@pytest.fixture(params=[NOW, PAST], ids=["now", "past"])
def city(cities: dict[datetime, Marts], request: pytest.FixtureRequest) -> tuple[datetime, Marts]:
    """The city as of one instant."""
    return request.param, cities[request.param]


def month(day: Any) -> date | None:
    return None if pd.isna(day) else day.replace(day=1)


def share(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def groups(frame: pd.DataFrame, *by: str) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Groups in which unknown is a value like others."""
    for key, group in frame.groupby(list(by), dropna=False, sort=False):
        yield tuple(None if pd.isna(part) else part for part in key), group


def happened(instants: pd.Series, as_of: datetime) -> pd.Series:
    """Not dated after ``as_of``; what has no date has happened."""
    return instants.map(lambda at: pd.isna(at) or at <= as_of).astype(bool)


def is_true(flags: pd.Series) -> pd.Series:
    return flags.map(lambda flag: flag is True).astype(bool)


def is_false(flags: pd.Series) -> pd.Series:
    return flags.map(lambda flag: flag is False).astype(bool)


def one_of(codes: pd.Series, *wanted: str) -> pd.Series:
    return codes.isin(wanted)


def same(mart: pd.DataFrame, expected: list[dict[str, Any]], *key: str) -> None:
    """Equal in every column, row by row."""
    def text(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[column]) for column in key)

    def clean(value: Any) -> Any:
        if value is None or (isinstance(value, float) and value != value):
            return None
        return value

    def differ(one: Any, other: Any) -> bool:
        # two hundred-thousandths of a day are the seconds that dbt counts whole
        return one != (pytest.approx(other, abs=2e-5) if isinstance(other, float) else other)

    got = {text(row): {k: clean(v) for k, v in row.items()} for row in mart.to_dict("records")}
    wanted = {text(row): {k: clean(v) for k, v in row.items()} for row in expected}
    assert len(got) == len(mart) and len(wanted) == len(expected)
    assert not [(k, c, got[k][c], wanted[k].get(c)) for k in got.keys() & wanted.keys() for c in got[k] if differ(got[k][c], wanted[k].get(c))]
    assert got.keys() == wanted.keys()


def due(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[is_true(frame.is_certificate_due)]


def test_channel_month(city: tuple[datetime, Marts]) -> None:
    as_of, marts = city
    case = marts["fct_case"]
    received, completed = case[happened(case.received_at, as_of)], case[is_true(case.is_completed)]
    rows: dict[tuple[Any, ...], dict[str, int]] = {}
    for frame, day in ((received, "received_on"), (completed, "completed_on")):
        for key, group in groups(frame.assign(month=frame[day].map(month)), "channel_code", "department_code", "month"):
            row = rows.setdefault(key, dict.fromkeys(("received", "completed", "on_time", "late"), 0))
            row[day.removesuffix("_on")] = len(group)
            if day == "completed_on":
                row |= {"on_time": int(is_false(group.is_late).sum()), "late": int(is_true(group.is_late).sum())}
    key = ("channel_code", "department_code", "month")
    same(marts["mart_channel_month"], [dict(zip(key, values, strict=True)) | row for values, row in rows.items()], *key)
    assert marts["mart_channel_month"].received.sum() == len(received) < len(case) + (as_of == NOW)
    assert max(m for m in marts["mart_channel_month"].month if m) == month(as_of.date())


def test_case_timeliness(city: tuple[datetime, Marts]) -> None:
    _, marts = city
    case, listed = marts["fct_case"], marts["dim_matter"].set_index("matter_code")
    completed = case[is_true(case.is_completed)]
    expected = []
    for (department, matter, in_month), g in groups(completed.assign(month=completed.completed_on.map(month)), "department_code", "matter_code", "month"):
        unclocked, known = g[g.is_late.isna()], g[g.net_working_days.notna()]
        net, paused = known.net_working_days.sum(), known.paused_days.sum()
        on_time, late = is_false(g.is_late).sum(), is_true(g.is_late).sum()
        m = listed.loc[matter] if matter in listed.index else dict.fromkeys(listed.columns)
        is_spot = m["case_kind_code"] == "1"
        promise = 0 if is_spot else m["promised_limit"] if m["promised_limit_unit"] == "wd" else None
        is_counted = m["statutory_limit_unit"] == "wd" and (m["statutory_limit"] or 0) > 0 and promise is not None
        expected.append({
            "department_code": department, "matter_code": matter, "month": in_month, "completed": len(g), "on_time": on_time, "late": late,
            "no_clock": len(unclocked), **{reason: (unclocked.due_null_reason == reason).sum() for reason in ("no_limit", "not_accepted", "calendar_unpublished")},
            "on_time_rate": share(on_time, on_time + late), "statutory_clocked": g.is_statutory_late.notna().sum(), "statutory_late": is_true(g.is_statutory_late).sum(),
            "net_cases": len(known), "net_working_days": net, "net_working_days_mean": share(net, len(known)),
            "net_working_days_median": known.net_working_days.astype(float).median(), "net_working_days_p90": known.net_working_days.astype(float).quantile(0.9),
            "paused_cases": (g.paused_days > 0).sum(), "paused_days": paused, "paused_share": share(paused, net + paused),
            **{limit: m[limit] for limit in ("promised_limit", "promised_limit_unit", "statutory_limit", "statutory_limit_unit")},
            "days_saved": m["statutory_limit"] - promise if is_counted else None, "statutory_days": m["statutory_limit"] if is_counted else None,
            "compression_ratio": (m["statutory_limit"] - promise) / m["statutory_limit"] if is_counted else None,
        })
    mart = marts["mart_case_timeliness"]
    same(mart, expected, "department_code", "matter_code", "month")
    assert mart.completed.sum() == len(completed) and mart.late.sum() > 0 and mart.paused_days.sum() > 0
    assert {None, "NOWHERE"} <= set(mart.matter_code)


def test_review_summary(city: tuple[datetime, Marts]) -> None:
    as_of, marts = city
    review = marts["fct_review"].merge(marts["fct_case"][["source", "case_number", "department_code"]], "left", ["source", "case_number"], suffixes=("", "_of_case"))
    review = review[happened(review.reviewed_at, as_of)]
    review = review.assign(department_code=review.department_code.fillna(review.department_code_of_case), month=review.reviewed_on.map(month))
    expected = []
    for (department, channel, in_month), g in groups(review, "department_code", "review_channel_code", "month"):
        active = g[is_false(g.is_default)]
        first = active[active.follows_review_id.isna()]
        bad = active[one_of(active.satisfaction_code, "4", "5")]
        done = bad[bad.rectified_at.map(lambda at: not pd.isna(at) and at <= as_of).astype(bool)]
        still = bad[~bad.index.isin(done.index)]
        delays = [None if pd.isna(limit) else (at.date() - limit).days for at, limit in zip(done.rectified_at, done.rectify_due_on, strict=True)]
        expected.append({
            "department_code": department, "review_channel_code": channel, "month": in_month, "reviews": len(g), "default_reviews": len(g) - len(active),
            "active_reviews": len(active), **{f"level_{level}": (active.satisfaction_code == level).sum() for level in LEVELS},
            "no_level": (~one_of(active.satisfaction_code, *LEVELS)).sum(), "follow_ups": active.follows_review_id.notna().sum(),
            "rated": one_of(first.satisfaction_code, *LEVELS).sum(), "satisfied": one_of(first.satisfaction_code, "1", "2", "3").sum(), "bad_reviews": len(bad),
            "rectified_in_time": sum(d is not None and d <= 0 for d in delays), "rectified_late": sum(d is not None and d > 0 for d in delays),
            "rectified_without_due": delays.count(None), "open_bad_reviews": len(still),
            "overdue_bad_reviews": sum(not pd.isna(limit) and limit < as_of.date() for limit in still.rectify_due_on),
        })
    mart = marts["mart_review_summary"]
    same(mart, expected, "department_code", "review_channel_code", "month")
    outcomes = ("rectified_in_time", "rectified_late", "rectified_without_due", "open_bad_reviews", "overdue_bad_reviews", "default_reviews", "follow_ups")
    assert not [column for column in outcomes if not mart[column].sum()]
    assert mart.month.isna().any() and mart.review_channel_code.isna().any()


def test_certificate_coverage(city: tuple[datetime, Marts]) -> None:
    as_of, marts = city
    case, certificate = marts["fct_case"], marts["fct_certificate"]
    certificate = certificate[certificate.issued_on.map(lambda day: pd.isna(day) or day <= as_of.date()).astype(bool)]
    linked = certificate.merge(case[["source", "case_number", "department_code", "matter_code", "is_certificate_due"]], "left", ["source", "case_number"])
    types = certificate.dropna(subset=["case_number"]).groupby("case_number").certificate_type_code.min()
    usual: dict[str, str] = {}
    of_case = case[case.case_number.isin(types.index)]
    for (matter,), g in groups(of_case.assign(kind=of_case.case_number.map(types)), "matter_code"):
        counts = g.kind.value_counts()
        usual[matter] = min(counts[counts == counts.max()].index)
    rows: dict[tuple[Any, ...], dict[str, int]] = {}
    names = ("cases_due", "cases_certified", "certificates", "case_due", "case_not_due", "case_unknown", "names_no_case", "expired", "revoked")
    for row in due(case).to_dict("records"):
        kind = types.get(row["case_number"], usual.get(row["matter_code"]))
        counted = rows.setdefault((kind, row["department_code"], month(row["completed_on"])), dict.fromkeys(names, 0))
        counted["cases_due"] += 1
        counted["cases_certified"] += row["case_number"] in types.index
    for row in linked.to_dict("records"):
        department = row["department_code"] if isinstance(row["department_code"], str) else row["issuer_code"]
        counted = rows.setdefault((row["certificate_type_code"], department, month(row["issued_on"])), dict.fromkeys(names, 0))
        is_revoked = row["certificate_state_code"] in ("cancelled", "revoked", "rescinded")
        is_past = row["certificate_state_code"] == "expired" or (not pd.isna(row["valid_to"]) and row["valid_to"] < as_of.date())
        way = "names_no_case" if row["case_number"] is None else {True: "case_due", False: "case_not_due"}.get(row["is_certificate_due"], "case_unknown")
        for name in ("certificates", way, *(["revoked"] if is_revoked else ["expired"] if is_past else [])):
            counted[name] += 1
    key = ("certificate_type_code", "department_code", "month")
    expected = [dict(zip(key, k, strict=True)) | row | {"coverage": share(row["cases_certified"], row["cases_due"])} for k, row in rows.items()]
    mart = marts["mart_certificate_coverage"]
    same(mart, expected, *key)
    assert mart.certificates.sum() == len(certificate) and mart.cases_due.sum() == len(due(case))
    assert all(mart[name].sum() > 0 for name in ("case_due", "case_unknown", "names_no_case", "expired", "revoked"))


def paths(as_of: datetime, marts: Marts) -> pd.DataFrame:
    """One row a case received up to ``as_of``: names of its steps in their order."""
    labels = code_tables()["L.activity"]
    event, case = marts["fct_case_event"], marts["fct_case"]
    event = event[happened(event.occurred_at, as_of)].sort_values("sequence")
    walked: dict[str, list[tuple[str, datetime]]] = {}
    for row in event.to_dict("records"):
        name = labels.get(row["activity_code"]) or row["activity"] or row["activity_code"] or "?"
        walked.setdefault(row["case_number"], []).append((name.replace("→", ">"), row["occurred_at"]))
    case = case[happened(case.received_at, as_of)]
    return case.assign(walk=case.case_number.map(lambda number: walked.get(number, [])))


def test_paths(city: tuple[datetime, Marts]) -> None:
    as_of, marts = city
    built = marts["int_case_path"].set_index("case_number")
    assert set(built.index) == set(marts["fct_case"].case_number)
    for row in paths(as_of, marts).to_dict("records"):
        names, times = [name for name, _ in row["walk"]], [at for _, at in row["walk"]]
        got = built.loc[row["case_number"]]
        assert (got.path or "") == "→".join(names)
        assert (got.step_count, got.repeat_count) == (len(names), len(names) - len(set(names)))
        assert got.self_loop_count == sum(one == other for one, other in zip(names, names[1:], strict=False))
        assert pd.isna(got.duration_days) if not names else got.duration_days == pytest.approx((max(times) - min(times)).total_seconds() / 86400, abs=2e-5)
    assert built.self_loop_count.max() >= 1 and built.repeat_count.max() >= 2
    assert built.later_at.notna().any() and built.path.str.contains("现场踏勘>复核").any()


def test_matter_path(city: tuple[datetime, Marts]) -> None:
    as_of, marts = city
    walked = paths(as_of, marts)
    expected = []
    for (matter,), g in groups(walked.assign(path=walked.walk.map(lambda walk: "→".join(name for name, _ in walk))), "matter_code"):
        counts = g[g.path != ""].path.value_counts()
        ranked = sorted(counts.index, key=lambda path: (-counts[path], path.encode()))
        places = {path: ("variant", rank) if rank <= TOP else ("other", None) for rank, path in enumerate(ranked, start=1)} | {"": ("no_steps", None)}
        for (kind, rank), rows in {place: g[g.path.map(places) == place] for place in set(places.values())}.items():
            if rows.empty:
                continue
            names = [[name for name, _ in walk] for walk in rows.walk]
            repeats = [len(n) - len(set(n)) for n in names]
            spans = pd.Series([(max(t) - min(t)).total_seconds() / 86400 for t in ([at for _, at in w] for w in rows[is_true(rows.is_completed)].walk) if t], dtype=float)
            expected.append({
                "matter_code": matter, "row_kind": kind, "variant_rank": rank, "path": ranked[rank - 1] if rank else None,
                "variants": rows.path[rows.path != ""].nunique(), "cases": len(rows), "completed": is_true(rows.is_completed).sum(), "share": len(rows) / len(g),
                "steps": sum(map(len, names)), "repeats": sum(repeats), "rework_cases": sum(r > 0 for r in repeats),
                "self_loops": sum(a == b for n in names for a, b in zip(n, n[1:], strict=False)), "duration_days_median": spans.median(),
            })
    mart = marts["mart_matter_path"]
    same(mart, expected, "matter_code", "row_kind", "variant_rank")
    assert mart.cases.sum() == len(walked) and set(mart.row_kind) == {"variant", "other", "no_steps"}


def test_matter_profile(city: tuple[datetime, Marts]) -> None:
    as_of, marts = city
    since = as_of.date().replace(year=as_of.year - 1)
    case = marts["fct_case"].dropna(subset=["matter_code"])
    review = marts["fct_review"].merge(case[["source", "case_number", "matter_code"]], "inner", ["source", "case_number"])
    review = review[review.reviewed_at.map(lambda at: not pd.isna(at) and at <= as_of).astype(bool)]
    review = review[review.reviewed_on.map(lambda day: day > since).astype(bool)]
    certificate = marts["fct_certificate"].dropna(subset=["case_number"])
    certified = set(certificate[certificate.issued_on.map(lambda day: pd.isna(day) or day <= as_of.date()).astype(bool)].case_number)
    case = case[happened(case.received_at, as_of) | is_true(case.is_completed)]
    mart, walked = marts["mart_matter_profile"].set_index("matter_code"), marts["mart_matter_path"]
    assert set(mart.index) == set(case.matter_code) | set(marts["dim_matter"].matter_code)
    assert not mart.loc["NOWHERE"].is_listed and mart.loc["NOWHERE"].received == 1
    listed = marts["dim_matter"].set_index("matter_code")
    own, own_reviews = ({key: g for (key,), g in groups(frame, "matter_code")} for frame in (case, review))
    unused = [matter for matter in mart.index if matter not in own][:20]
    for matter, row in mart.loc[[*own, *unused]].iterrows():
        mine = own.get(matter, case[:0])
        received = mine[happened(mine.received_at, as_of)]
        recent = received[received.received_on.map(lambda day: not pd.isna(day) and day > since).astype(bool)]
        done = mine[is_true(mine.is_completed)]
        done = done[done.completed_on.map(lambda day: day > since).astype(bool)]
        mine_reviewed, mine_walked = own_reviews.get(matter, review[:0]), walked[walked.matter_code == matter]
        active = mine_reviewed[is_false(mine_reviewed.is_default)]
        rated = active[active.follows_review_id.isna() & one_of(active.satisfaction_code, *LEVELS)]
        on_time, late, owed = is_false(done.is_late).sum(), is_true(done.is_late).sum(), due(done)
        with_certificate = owed.case_number.isin(certified).sum()
        expected = {
            "received": len(received), "last_received_on": max(received.received_on, default=None), "received_12m": len(recent),
            "channelled_12m": recent.channel_code.notna().sum(),
            **{f"{name}_12m": (recent.channel_code == code).sum() for name, code in zip(("window", "pc", "mobile", "post", "terminal", "local"), "123456", strict=True)},
            "online_share_12m": share(one_of(recent.channel_code, "2", "3", "5").sum(), recent.channel_code.notna().sum()),
            "corrected_12m": (recent.correction_count > 0).sum(), "corrections_12m": recent.correction_count.sum(), "completed_12m": len(done),
            "on_time_12m": on_time, "late_12m": late, "on_time_rate_12m": share(on_time, on_time + late),
            "net_working_days_median_12m": done.net_working_days.dropna().astype(float).median(),
            "default_reviews_12m": len(mine_reviewed) - len(active), "active_reviews_12m": len(active),
            **{f"level_{level}_12m": (active.satisfaction_code == level).sum() for level in LEVELS},
            "satisfaction_12m": share(one_of(rated.satisfaction_code, "1", "2", "3").sum(), len(rated)),
            "certificate_due_12m": len(owed), "certified_12m": with_certificate, "certificate_coverage_12m": share(with_certificate, len(owed)),
            "variants": mine_walked.variants.sum(), "rework_cases": mine_walked.rework_cases.sum(), "repeats": mine_walked.repeats.sum(),
            "top_variant_share": max(mine_walked[mine_walked.variant_rank == 1].share, default=None),
            "trips": listed.loc[matter].trips if matter in listed.index else None,
        }
        got = {name: None if pd.isna(row[name]) else row[name] for name in expected}
        assert got == {name: pytest.approx(value) if isinstance(value, float) else value for name, value in expected.items() if not pd.isna(value)} | {
            name: None for name, value in expected.items() if pd.isna(value)
        }, matter


@pytest.mark.parametrize(("measure", "mart", "numerator", "denominator"), [
    ("M18", "mart_review_summary", "satisfied", "rated"),
    ("M21", "mart_certificate_coverage", "cases_certified", "cases_due"),
])
def test_marts_agree_with_the_daily_measures(city: tuple[datetime, Marts], measure: str, mart: str, numerator: str, denominator: str) -> None:
    _, marts = city
    day = marts["mart_department_day"]
    day, dated = day[day.measure_code == measure], marts[mart].dropna(subset=["month", "department_code"])
    assert (dated[numerator].sum(), dated[denominator].sum()) == (day.numerator.sum(), day.denominator.sum()) != (0, 0)


def test_a_department_without_cases_has_no_rows(city: tuple[datetime, Marts]) -> None:
    as_of, marts = city
    idle = set(marts["dim_department"].department_code) - set(marts["fct_case"][happened(marts["fct_case"].received_at, as_of)].department_code)
    assert not idle & set(marts["mart_channel_month"].department_code) and not idle & set(marts["mart_case_timeliness"].department_code)


EXAMPLES = re.findall(r"```sql\n(.+?)```", (Path(__file__).parents[2] / "docs" / "marts.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("query", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_of_the_page_answer(home: Settings, cities: dict[datetime, Marts], query: str) -> None:
    with duckdb.connect(str(home.marts), read_only=True) as connection:
        assert connection.execute(query.replace(">= 30", ">= 3")).fetchall()


def test_a_clock_follows_what_is_dated_after_its_case_was_completed(home: Settings, cities: dict[datetime, Marts]) -> None:
    """Steps, ends of pauses and acceptances between two runs: carried on from PAST, every case is what it is built from nothing."""
    key = ["source", "case_number"]
    built, before = (cities[as_of]["fct_case"].set_index(key).sort_index() for as_of in (NOW, PAST))
    dbt(home, NOW, "run", "--select", "int_case_touched", "int_case_clock", "fct_case")
    carried = frames(home)["fct_case"].set_index(key).sort_index()
    differ = {name: int((carried[name].astype(str) != built[name].astype(str)).sum()) for name in built if name != "as_of"}
    assert not any(differ.values()), differ
    done = is_true(before.is_completed)
    moved = [name for name in ("correction_count", "has_invalid_extension", "accepted_at") if before[done][name].astype(str).ne(built[done][name].astype(str)).any()]
    assert moved == ["correction_count", "has_invalid_extension", "accepted_at"]
    assert (carried.as_of[done] == before.as_of[done]).mean() > 0.5, "most completed cases are left alone"


def test_paths_follow_changes(home: Settings, cities: dict[datetime, Marts]) -> None:
    """Time goes on again, a case is deleted, a step renamed: the paths that are carried on are those built at first."""
    built = cities[NOW]["int_case_path"].set_index("case_number").sort_index()
    changed, gone = built[built.step_count > 3].index[[0, -1]]
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute('UPDATE raw."case" SET _is_deleted = true, _run_seq = 2 WHERE case_number = ?', [gone])
        connection.execute("UPDATE raw.case_event SET activity_code = 'supervised', _run_seq = 2 WHERE case_number = ? AND sequence = 2", [changed])
    dbt(home, NOW, "run", "--select", "int_case_path_touched", "int_case_path", "mart_matter_path", run_seq=2)
    marts = frames(home)
    carried = marts["int_case_path"].set_index("case_number").sort_index()
    steps = built.loc[changed].path.split("→")
    assert carried.loc[changed].path == "→".join([steps[0], "督办", *steps[2:]])
    rest = built.index.drop([changed, gone])
    pd.testing.assert_frame_equal(carried.drop(index=changed).drop(columns="_run_seq"), built.loc[rest].drop(columns="_run_seq"))
    completed = [frame["mart_matter_path"].completed.sum() for frame in (marts, cities[NOW])]
    assert completed[1] - completed[0] == is_true(cities[NOW]["fct_case"].set_index("case_number").loc[[gone]].is_completed).sum()
    written = carried.index[carried._run_seq == 2]
    assert changed in written and len(written) < len(carried) / 2
