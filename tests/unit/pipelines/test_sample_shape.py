"""The shape of the sample city: shares of docs/sample.md within tolerance, lateness by the platform's own clock."""

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import chinese_calendar
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.domain.calendar import work_calendar
from models.domain.clock import CaseFacts, Clocks, Event, Limits, clock
from pipelines.sample.days import day_number, work_days
from pipelines.sample.lives import LIFE
from pipelines.sample.matters import BY_TYPE, TOTAL, matters
from pipelines.sample.places import places
from pipelines.sample.results import LOOK_BACK
from pipelines.sample.service import write_sample

UNTIL = date(2026, 6, 30)
CASES = 20_000
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    home = tmp_path_factory.mktemp("city")
    write_sample(home, CASES, UNTIL, errors=0)
    return {p.name: pa.concat_tables([pq.read_table(f) for f in sorted(p.glob("*.parquet"))]) for p in (home / "sample").iterdir() if p.is_dir()}


@pytest.fixture(scope="module")
def city(tables: dict[str, pa.Table]) -> dict[str, pd.DataFrame]:
    frames = {subject: table.to_pandas() for subject, table in tables.items()}
    newest = frames["matter"].sort_values("effective_from").drop_duplicates("matter_code", keep="last")
    return frames | {"matter": newest}


@pytest.fixture(scope="module")
def clocks(tables: dict[str, pa.Table]) -> list[Clocks]:
    """The platform's clock of every case."""
    limits: dict[str, dict[date, Limits]] = {}
    for row in tables["matter"].select(["matter_code", "effective_from", *Limits.__dataclass_fields__]).to_pylist():
        code, since = row.pop("matter_code"), row.pop("effective_from")
        limits.setdefault(code, {})[since] = Limits(**row)

    def limit(case: dict[str, Any]) -> Limits:
        """That of the version on the day of receipt."""
        own, day = limits[case["matter_code"]], case["received_at"].astimezone(ZONE).date()
        return own[max((since for since in own if since <= day), default=min(own))]

    events: dict[str, list[Event]] = {}
    for row in tables["case_event"].select(["case_number", *Event.__dataclass_fields__]).to_pylist():
        events.setdefault(row.pop("case_number"), []).append(Event(**row))
    as_of = datetime(2026, 6, 30, 23, 59, 59, tzinfo=ZONE).astimezone(UTC)
    facts = ["received_at", "accepted_at", "completed_at", "outcome_code"]
    return [
        clock(CaseFacts(**{f: r[f] for f in facts}, events=tuple(events[r["case_number"]])), limit(r), work_calendar(), as_of, ZONE)
        for r in tables["case"].select(["case_number", "matter_code", *facts]).to_pylist()
    ]


def shares(values: pd.Series) -> dict[str, float]:
    return (values.value_counts(normalize=True) * 100).to_dict()


def test_bodies_and_matters(city: dict[str, pd.DataFrame]) -> None:
    kinds = Counter(d.kind for d in places().departments)
    assert kinds == {"bureau": 20, "street": 24, "outside": 2}
    assert len(city["matter"]) == TOTAL == sum(BY_TYPE.values()) and city["matter"].matter_code.nunique() == TOTAL
    assert (city["matter"].matter_code.str.len() == 31).all()
    assert (matters().scene == 2).sum() == 42
    assert 55 <= matters().immediate.mean() * 100 <= 65


def test_few_matters_make_most_cases(city: dict[str, pd.DataFrame]) -> None:
    share = pd.Series(matters().share).sort_values(ascending=False)
    assert 0.52 <= share[:20].sum() / share.sum() <= 0.62
    assert 0.88 <= share[:166].sum() / share.sum() <= 0.96
    assert 0.35 <= (share == 0).mean() <= 0.45


def test_types_of_cases(city: dict[str, pd.DataFrame]) -> None:
    type_of = city["matter"].set_index("matter_code").type_code
    found = shares(city["case"].matter_code.map(type_of))
    for code, (low, high) in {"20": (54, 66), "01": (14, 21), "07": (12, 19), "05": (2.5, 5.5), "10": (3, 7)}.items():
        assert low <= found[code] <= high, code


def test_departments(city: dict[str, pd.DataFrame]) -> None:
    short = {d.code: d.short for d in places().departments}
    found = shares(city["case"].department_code.map(short))
    for name, share in {"人社": 26, "医保": 18, "市监": 14, "公安": 12, "自然": 9, "民政": 6, "卫健": 4, "住建": 3, "交通": 2}.items():
        assert found[name] == pytest.approx(share, rel=0.2, abs=0.5), name


def test_channels(city: dict[str, pd.DataFrame]) -> None:
    found = shares(city["case"].channel_code)
    for code, share in {"1": 38, "2": 22, "3": 27, "5": 6, "6": 7}.items():
        assert found[code] == pytest.approx(share, abs=3), code
    project = city["case"].project_code.notna()
    assert project.sum() > 20 and city["case"][project].channel_code.isin(["2", "3"]).mean() > 0.85


def test_on_the_spot_cases_and_outcomes(city: dict[str, pd.DataFrame]) -> None:
    assert 72 <= shares(city["case"].case_kind_code)["1"] <= 85
    found = shares(city["case"].outcome_code)
    for code, (low, high) in {"refused": (0.5, 1.0), "withdrawn": (0.6, 1.7), "denied": (0.15, 0.5), "granted": (95.5, 98)}.items():
        assert low <= found[code] <= high, code


def test_steps(city: dict[str, pd.DataFrame]) -> None:
    events = city["case_event"]
    found = {k: v / CASES * 100 for k, v in Counter(events.activity_code).items()}
    assert 5.5 <= len(events) / CASES <= 6.5
    for code, (low, high) in {"correction_asked": (4, 7), "suspended": (0.8, 2)}.items():
        assert low <= found[code] <= high, code
    pauses = events[events.special_code == "2"]
    assert pauses.special_kind_code.nunique() >= 5
    assert 0.85 <= (pauses.has_written_notice == True).mean() <= 0.97  # noqa: E712
    assert (events[events.special_code == "1"].extension_days <= 10).all()


def test_certificates_and_reviews(city: dict[str, pd.DataFrame]) -> None:
    cases, certificates, reviews = city["case"], city["certificate"], city["review"]
    yields = cases.result_certificate_number.notna()
    assert 35 <= yields.mean() * 100 <= 45
    stored = cases[yields].result_certificate_number.isin(certificates.certificate_number)
    assert 92 <= stored.mean() * 100 <= 98
    assert 2 <= certificates.case_number.isna().mean() * 100 <= 5
    completed = cases.completed_at.notna().sum()
    active, default = reviews[~reviews.is_default.astype(bool)], reviews[reviews.is_default.astype(bool)]
    assert 20 <= len(active) / completed * 100 <= 45 and 20 <= len(default) / completed * 100 <= 50
    assert 0.01 <= active.satisfaction_code.isin(["4", "5"]).mean() * 100 <= 0.4
    assert not default.satisfaction_code.isin(["4", "5"]).any()


def test_the_stress_profile_has_two_percent_bad_reviews(tmp_path: Path) -> None:
    write_sample(tmp_path, 10_000, UNTIL, since=date(2026, 1, 1), errors=0, profile="stress")
    reviews = pa.concat_tables([pq.read_table(p) for p in (tmp_path / "sample/review").glob("*.parquet")]).to_pandas()
    active = reviews[~reviews.is_default.astype(bool) & (reviews.review_round == 1)]
    bad = active[active.satisfaction_code.isin(["4", "5"])]
    assert 1.3 <= len(bad) / len(active) * 100 <= 3.5
    settled = bad[bad.reviewed_at < pd.Timestamp("2026-05-15", tz="UTC")]
    assert (settled.rectified_at.dt.tz_convert(ZONE).dt.date <= settled.rectify_due_on).mean() > 0.93
    assert settled[~settled.is_anonymous.astype(bool)].visited_at.notna().all()
    assert reviews.follows_review_id.dropna().isin(reviews.review_id).all()


def test_weeks_seasons_and_hours(city: dict[str, pd.DataFrame]) -> None:
    local = city["case"].received_at.dt.tz_convert(ZONE)
    working = local.dt.date.map({d: chinese_calendar.is_workday(d) for d in set(local.dt.date)})
    by_day = local[working].groupby(local.dt.date).size()
    weekday = by_day.groupby(lambda d: d.weekday()).mean()
    assert weekday[0] / weekday[:5].mean() > 1.1 and weekday[4] / weekday[:5].mean() < 0.95
    rest = local[~working].groupby(local.dt.date).size().mean()
    assert 0.06 <= rest / by_day.mean() <= 0.16
    assert set(city["case"][~working.to_numpy()].channel_code) <= {"2", "3", "5"}
    monthly = local.groupby(local.dt.strftime("%Y-%m")).size()
    assert monthly["2026-02"] < monthly.median() * 0.75 and monthly["2026-03"] > monthly.median() * 1.05
    hours = local.dt.hour.value_counts(normalize=True)
    assert hours[[9, 10, 14, 15]].sum() > 0.45 and hours[[20, 21]].sum() > 2 * hours[[17, 18]].sum() * 0.6


def test_lateness_by_the_platforms_clock(city: dict[str, pd.DataFrame], clocks: list[Clocks]) -> None:
    late = pd.Series([bool(c.is_late) for c in clocks])
    done = city["case"].completed_at.notna()
    assert 0.1 <= late[done].mean() * 100 <= 0.45
    departments = city["case"].department_name[late].value_counts(normalize=True)
    assert departments[:4].sum() > 0.5  # they cluster in few departments
    assert sum(bool(c.is_statutory_late) for c in clocks) / CASES < 0.0025
    deemed = sum(c.is_deemed_accepted for c in clocks) / CASES
    assert deemed < 0.0025
    corrected = [c for c in clocks if c.correction_count]
    assert sum(bool(c.is_told_once_in_time) for c in corrected) / len(corrected) > 0.95


def test_durations(city: dict[str, pd.DataFrame], clocks: list[Clocks]) -> None:
    promised = city["case"].case_kind_code == "2"
    net = pd.Series([c.net_working_days for c in clocks])[promised].dropna()
    assert 1 <= net.median() <= 4 and 5 <= net.quantile(0.9) <= 9


def test_open_cases_remain_and_few_are_old(city: dict[str, pd.DataFrame]) -> None:
    unfinished = city["case"][city["case"].completed_at.isna()]
    assert 0.001 <= len(unfinished) / CASES <= 0.03
    age = pd.Timestamp(UNTIL, tz=ZONE) - unfinished.received_at
    assert (age > pd.Timedelta(days=60)).mean() < 0.5
    assert LIFE < LOOK_BACK


def test_working_days_are_the_official_ones() -> None:
    calendar = work_calendar()
    for day in pd.date_range("2024-01-01", "2026-12-31"):
        assert bool(work_days().working(day_number(day.date()))) is calendar.is_working(day.date())
