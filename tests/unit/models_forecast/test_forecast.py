"""Forecasts of lateness over a made-up city whose chances are known: what is learned, what is only claimed, and that nothing of the future is looked at."""

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from models.domain.calendar import work_calendar
from models.forecast.judging import judge
from models.forecast.landmarks import landmarks
from models.forecast.learning import LEAST_LATE, learn, resolved
from models.forecast.service import CASES, forecast, no_forecast
from models.store.forecast import write_forecast

TODAY = date(2026, 6, 30)
CALENDAR = work_calendar()


def city(cases: int, seed: int = 0, risk: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cases and their steps: matter ``m0`` is late in one of twenty, ``m1`` in one of three; steps do not matter.

    A case's fate is drawn before its steps; time allowed is ten working days.
    """
    draw = np.random.default_rng(seed)
    begun = [TODAY - timedelta(days=int(days)) for days in draw.integers(0, 700, cases)]
    begun = [CALENDAR.next_working(day) or day for day in begun]
    number = np.array([CALENDAR.number(day) for day in begun])
    matter = draw.integers(0, 2, cases)
    late = draw.random(cases) < np.where(matter, 1 / 3, 1 / 20) * risk
    used = np.where(late, draw.integers(11, 16, cases), draw.integers(1, 11, cases))
    due, end = [[CALENDAR.day_of(int(n)) for n in numbers] for numbers in (number + 10, number + used)]
    ended = np.array([day is not None and day <= TODAY for day in end])
    over = np.array([day is not None and day < TODAY for day in due])
    frame = pd.DataFrame(
        {
            "source": "city", "case_number": [f"C{n:06}" for n in range(cases)], "matter_code": [f"m{n}" for n in matter], "department_code": "d",
            "channel_code": draw.choice(["1", "2"], cases), "type_code": None, "case_kind_code": "2", "applicant_id_type_code": "111", "accepted_on": begun, "received_on": begun,
            "due_on": due, "due_basis": "promised", "is_completed": ended, "completed_on": [day if done else None for day, done in zip(end, ended, strict=True)],
            "is_late": np.where(ended, late, over), "paused_days": 0, "extension_days": 0,
        }
    )  # fmt: skip
    steps = [
        {"source": "city", "case_number": case, "sequence": n, "activity_code": code, "activity": None, "occurred_on": day, "occurred_at": pd.Timestamp(day, tz="UTC"), "extension_days": None}
        for case, start in zip(frame["case_number"], begun, strict=True)
        for n, (code, after) in enumerate((("received", 0), ("handled", 2), ("reviewed", 5)))
        if (day := start + timedelta(days=after)) <= TODAY
    ]  # fmt: skip
    return frame, pd.DataFrame(steps)


def write(path: Path, cases: pd.DataFrame, steps: pd.DataFrame) -> Path:
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA marts")
        days = "accepted_on::DATE AS accepted_on, received_on::DATE AS received_on, due_on::DATE AS due_on, completed_on::DATE AS completed_on, type_code::VARCHAR AS type_code"
        connection.register("cases", cases)
        connection.register("steps", steps)
        connection.execute(f"CREATE TABLE marts.fct_case AS SELECT * REPLACE ({days}) FROM cases")
        connection.execute(
            "CREATE TABLE marts.fct_case_event AS SELECT * REPLACE (occurred_on::DATE AS occurred_on, activity::VARCHAR AS activity, extension_days::INTEGER AS extension_days) FROM steps"
        )
    return path


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("forecast") / "masked.duckdb", *city(6000))


def test_the_model_learns_what_makes_cases_late(masked: Path) -> None:
    made = forecast(masked, TODAY, CALENDAR)
    assert made.method == "model" and made.judgement.reason is None
    measures = made.judgement.measures.set_index("name")
    assert measures.loc["days", "gain_low"] > 0  # who looks at the days only does not see the matter
    assert measures.loc["matter", "gain_low"] > 0  # nor the other way round: most of those open on the last day are late
    assert measures.loc["model", "roc_auc"] > 0.75  # with chances of a third and a twentieth no one can do much better
    assert measures.loc["model", "calibration_error"] < 0.04
    open_cases = made.cases.to_pandas()
    assert len(open_cases) > 50 and open_cases["probability"].is_monotonic_decreasing and list(open_cases["place"]) == list(range(1, len(open_cases) + 1))
    worst = open_cases.iloc[0]
    assert worst["matter_code"] == "m1" and worst["days_left"] <= 2
    assert f"剩余 {worst['days_left']} 个工作日" in worst["reasons"]
    assert open_cases["reasons"].str.contains("本事项此前到期 ").any()
    assert set(made.judgement.bins.groupby("name")["late"].sum()) == {made.judgement.asked[1]}


def test_it_is_judged_on_days_after_those_it_learned_from(masked: Path) -> None:
    rows = resolved(landmarks(masked, TODAY, CALENDAR))
    judged = judge(rows)
    assert judged.cut is not None
    after = rows[rows["landmark_on"] > judged.cut]
    assert judged.learned[0] == ((rows["landmark_on"] <= judged.cut) & (rows["due_on"] <= judged.cut)).sum()
    assert 0 < judged.asked[0] <= len(after)
    changed = rows.assign(is_late=np.where(rows["due_on"] > judged.cut, ~rows["is_late"].astype(bool), rows["is_late"].astype(bool)))
    again = judge(changed)  # other fates after the cut: the same model, other marks
    assert again.bins.query("name == 'model'")["predicted"].tolist() == judged.bins.query("name == 'model'")["predicted"].tolist()
    assert again.asked[1] == judged.asked[0] - judged.asked[1]


def test_nothing_later_than_the_day_is_looked_at(tmp_path: Path) -> None:
    """What a past landmark says is what would have been said on that day, when the rest had not happened yet."""
    cases, steps = city(1500, seed=3)
    day = date(2026, 3, 4)
    then = cases[cases["received_on"] <= day].copy()
    ended = pd.Series([end is not None and end <= day for end in then["completed_on"]], index=then.index)
    then["is_late"] = np.where(ended, then["is_late"], np.array([due < day for due in then["due_on"]]))
    then["is_completed"], then["completed_on"] = ended, then["completed_on"].where(ended, None)
    known = landmarks(write(tmp_path / "then.duckdb", then, steps[steps["occurred_on"] <= day]), day, CALENDAR).to_pandas()
    now = landmarks(write(tmp_path / "now.duckdb", cases, steps), TODAY, CALENDAR).to_pandas()
    columns = [name for name in known.columns if name not in ("is_open", "is_late")]
    both = now[now["landmark_on"] == day].merge(known[known["is_open"]], on=["source", "case_number"], suffixes=("", "_then"))
    assert len(both) > 5
    for name in columns[2:]:
        assert both[name].fillna("").tolist() == both[f"{name}_then"].fillna("").tolist(), name


def test_time_taken_out_of_the_clock_is_given_back(tmp_path: Path) -> None:
    """Ten days allowed from Monday the 1st, stopped from the 3rd to the 8th: seven are left on the 9th instead of four."""
    cases, steps = city(1)
    cases = cases.assign(
        accepted_on=date(2026, 6, 1), received_on=date(2026, 6, 1), due_on=date(2026, 6, 18), paused_days=3, is_completed=False, completed_on=None, is_late=False,
    )  # fmt: skip
    row = steps.iloc[0]
    steps = pd.DataFrame(
        [
            {**row, "sequence": n, "activity_code": code, "occurred_on": day, "occurred_at": pd.Timestamp(day, tz="UTC")}
            for n, (code, day) in enumerate((("received", date(2026, 6, 1)), ("suspended", date(2026, 6, 3)), ("resumed", date(2026, 6, 9))))
        ]
    )
    path = write(tmp_path / "one.duckdb", cases, steps)
    found = landmarks(path, date(2026, 6, 5), CALENDAR).to_pylist()[0]
    assert (found["days_allowed"], found["days_used"], found["days_left"], found["is_paused"], found["steps"]) == (10, 2, 8, True, 2)
    found = landmarks(path, date(2026, 6, 9), CALENDAR).to_pylist()[0]
    assert (found["days_allowed"], found["days_used"], found["days_left"], found["is_paused"], found["steps"]) == (10, 3, 7, False, 3)


def test_too_few_late_cases_teach_nothing(tmp_path: Path) -> None:
    cases, steps = city(400, risk=0.05)
    made = forecast(write(tmp_path / "few.duckdb", cases, steps), TODAY, CALENDAR)
    assert made.method == "days" and made.judgement.reason == "此前逾期的办件太少，无法学习"
    assert 0 < made.cases.num_rows and all(0 <= value <= 1 for value in made.cases["probability"].to_pylist())
    assert made.cases["reasons"][0].as_py().startswith("剩余 ")


@pytest.mark.parametrize("late", [True, False])
def test_one_fate_for_all_is_no_lesson(tmp_path: Path, late: bool) -> None:
    cases, steps = city(600)
    rows = resolved(landmarks(write(tmp_path / "one.duckdb", cases, steps), TODAY, CALENDAR)).assign(is_late=late)
    assert learn(rows) is None
    assert judge(rows).reason == "此前逾期的办件太少，无法学习"


def test_nothing_is_due_yet(tmp_path: Path) -> None:
    cases, steps = city(30)
    for name, some in {"without a due day": cases.assign(due_on=None), "no case": cases.iloc[:0]}.items():
        made = forecast(write(tmp_path / f"{name}.duckdb", some, steps), TODAY, CALENDAR)
        assert (made.method, made.cases.num_rows, made.judgement.reason) == (None, 0, "没有已到期的办件，无法学习"), name
    young = cases.assign(accepted_on=TODAY, received_on=TODAY, due_on=TODAY + timedelta(days=14), is_completed=False, completed_on=None, is_late=False)
    made = forecast(write(tmp_path / "young.duckdb", young, steps.assign(occurred_on=TODAY)), TODAY, CALENDAR)
    assert made.cases.num_rows == 30 and made.cases["probability"].null_count + np.isnan(made.cases["probability"].to_numpy(zero_copy_only=False)).sum() >= 30


def test_what_is_the_same_for_all_is_left_out(tmp_path: Path) -> None:
    cases, steps = city(2000)
    same = cases.assign(matter_code=None, channel_code=None, department_code=None)
    made = forecast(write(tmp_path / "same.duckdb", same, steps.assign(activity_code=None)), TODAY, CALENDAR)
    assert made.method == "model"


def test_a_sample_is_the_same_in_each_run(masked: Path, tmp_path: Path) -> None:
    first, second = (landmarks(masked, TODAY, CALENDAR, most_cases=1000) for _ in range(2))
    assert first.equals(second)
    past = resolved(first)
    assert 500 < past["case_number"].nunique() < 2000 and past.loc[past["is_late"].astype(bool), "case_number"].nunique() >= LEAST_LATE
    one, two = (forecast(masked, TODAY, CALENDAR, most_cases=1000).cases for _ in range(2))
    assert one.equals(two)


def test_what_is_written_replaces_what_was(masked: Path, tmp_path: Path) -> None:
    path = tmp_path / "written.duckdb"
    path.write_bytes(masked.read_bytes())
    write_forecast(path, forecast(path, TODAY, CALENDAR))
    write_forecast(path, no_forecast(TODAY, "关闭"))
    with duckdb.connect(str(path)) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM marts.{name}").fetchall()[0][0] for name in ("forecast_case", "forecast_measure", "forecast_bin", "forecast_summary")]
        assert counts == [0, 0, 0, 1]
        assert connection.execute("SELECT reason FROM marts.forecast_summary").fetchall() == [("关闭",)]
        assert [row[0] for row in connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'forecast_case' ORDER BY column_index").fetchall()] == CASES.names
