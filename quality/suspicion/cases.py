"""What is known of each case of a year, and how unusual each of it is among cases of its matter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa

from quality.suspicion.measures import Floats, Ints, distance, rarity, surprise

DAYS = 366
"""Days back from the run's day whose cases are looked at."""
_COLUMNS = (
    "source", "case_number", "matter_code", "department_code", "region_code", "channel_code", "case_kind_code", "applicant_id_type_code", "received_on",
)  # fmt: skip
_CASES = """
    SELECT c.source, c.case_number, coalesce(c.matter_code, '') AS matter_code, c.department_code, c.region_code, c.channel_code, c.case_kind_code,
        c.applicant_id_type_code, c.received_on, {seconds},
        concat_ws('/', c.case_kind_code, c.outcome_code, c.correction_count > 0, c.paused_days > 0, c.extension_days > 0, c.channel_code = '1') AS course, hour(c.received_at) AS hour, dayofweek(c.received_at) AS weekday,
        (c.applicant_name_flaw IS NOT NULL)::INTEGER * 2 + (c.contact_phone_flaw IS NOT NULL)::INTEGER AS flaws,
        {nulls} AS nulls, s.steps, s.path,
        count(*) OVER (PARTITION BY c.applicant_id_digest, c.matter_code, c.received_on) AS same_day
    FROM marts.fct_case AS c LEFT JOIN (
        SELECT e.source, e.case_number, count(*) AS steps, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at, hash(list(e.activity_code ORDER BY e.sequence)) AS path
        FROM marts.fct_case_event AS e JOIN marts.fct_case AS k USING (source, case_number)
        WHERE k.received_on >= $since AND e.occurred_at BETWEEN k.received_at AND k.completed_at GROUP BY ALL) AS s USING (source, case_number)
    WHERE c.received_on >= $since AND c.received_on <= $today AND c.is_completed ORDER BY c.source, c.case_number
"""
_SPANS = {
    "taken": ("c.received_at", "c.completed_at"), "spread": ("s.first_at", "s.last_at"), "waited": ("c.applied_at", "c.received_at"),
    "told": ("c.completed_at", "c.reported_at"),
}  # fmt: skip
_NULLABLE = ("window_code", "accepted_at", "completed_at", "outcome_code", "reported_at", "applicant_id_digest", "applicant_name_masked", "channel_code", "case_kind_code", "region_code")


@dataclass(frozen=True)
class Feature:
    """One thing that can be unusual of a case.

    Attributes:
        name: What it is.
        surprise: How unusual it is of each case, in nats.
        said: Chinese phrase about the case at a place, with its figures.
    """

    name: str
    surprise: Floats
    said: Callable[[int], str]


@dataclass(frozen=True)
class Cases:
    """Cases of a year.

    Attributes:
        rows: Their columns.
        features: What can be unusual of them.
        time: Distance of the time taken from the middle of cases alike, in robust standard deviations.
    """

    rows: pa.Table
    features: Sequence[Feature]
    time: Floats

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @property
    def matrix(self) -> Floats:
        """Cases × features."""
        return np.column_stack([feature.surprise for feature in self.features]) if self.features else np.zeros((len(self), 0))


def cases_of(connection: duckdb.DuckDBPyConnection, today: date) -> Cases:
    """Reads the cases of a year and works out how unusual they are.

    Args:
        connection: Has the marts.
        today: The run's day.
    """
    seconds = ", ".join(
        f"CASE WHEN isfinite({start}) AND isfinite({end}) THEN epoch({end}) - epoch({start}) END AS {name}" for name, (start, end) in _SPANS.items()
    )
    nulls = " + ".join(f"(c.{column} IS NULL)::INTEGER * {2**place}" for place, column in enumerate(_NULLABLE))
    query = _CASES.format(seconds=seconds, nulls=nulls)
    rows = connection.sql(query, params={"since": today - timedelta(days=DAYS - 1), "today": today}).to_arrow_table()
    if not rows.num_rows:
        return Cases(rows, [], np.zeros(0))
    spans = {name: rows[name].to_numpy().astype(np.float64) for name in _SPANS}
    codes = {name: _coded(rows[name]) for name in ("matter_code", "department_code", "region_code", "channel_code", "case_kind_code", "course", "applicant_id_type_code", "path", "nulls", "hour", "weekday", "flaws")}
    matter, kind = codes["matter_code"], codes["case_kind_code"]
    # a case that was withdrawn or corrected takes its own course, and is no oddity for that
    course = codes["course"]
    _, alike = np.unique(matter * (int(course.max()) + 1) + course, return_inverse=True)
    text = {name: rows[name] for name in _COLUMNS}
    taken, middle = distance(_log(spans["taken"]), alike, course, 0.5)
    spread, spread_middle = distance(_log(spans["spread"]), alike, course, 0.5)
    steps = rows["steps"].to_numpy().astype(np.float64)
    many, steps_middle = distance(np.log1p(steps), alike, course, 0.2)
    waited, _ = distance(_log(spans["waited"]), codes["channel_code"], kind, 1.0)
    told, _ = distance(_log(spans["told"]), codes["department_code"], kind, 1.0)
    same_day = rows["same_day"].to_numpy().astype(np.float64)

    def named(column: str) -> Callable[[int], str]:
        return lambda at: str(text[column][at].as_py())

    longer = np.abs(spread) > np.abs(taken)  # time is one thing, whether the case or its steps tell of it

    def time_said(at: int) -> str:
        if longer[at]:
            return f"从收件到办结的环节首尾相隔{_span(spans['spread'][at])}，同类办件一般{_usual(spread_middle[at])}"
        return f"从收件到办结{_span(spans['taken'][at])}，同类办件一般{_usual(middle[at])}"

    features = [
        Feature("time", surprise(np.where(longer, spread, taken)), time_said),
        Feature("steps", surprise(many), lambda at: f"有 {steps[at]:g} 个环节，同类办件一般 {np.expm1(steps_middle[at]):.0f} 个"),
        Feature("waited", surprise(waited), lambda at: f"从申请到收件{_span(spans['waited'][at])}，与同一渠道相差很远"),
        Feature("told", surprise(told), lambda at: f"从办结到上报{_span(spans['told'][at])}，与本部门一般相差很远"),
        Feature("hour", rarity(codes["hour"], codes["channel_code"]), lambda at: f"{rows['hour'][at].as_py()} 时收件，同一渠道很少见"),
        Feature("weekday", rarity(codes["weekday"], codes["channel_code"]), lambda at: f"星期{'日一二三四五六'[rows['weekday'][at].as_py()]}收件，同一渠道很少见"),
        Feature(
            "place", rarity(codes["channel_code"], matter) + rarity(codes["department_code"], matter),
            lambda at: f"受理单位 {named('department_code')(at)}、申报来源 {named('channel_code')(at)}，这一事项很少见",
        ),
        Feature("path", rarity(codes["path"], course), lambda at: "环节的先后次序在同类办件中很少见"),
        Feature("kind", rarity(kind, matter), lambda at: f"办件类型为 {named('case_kind_code')(at)}，这一事项很少见"),
        Feature("identity", rarity(codes["applicant_id_type_code"], matter), lambda at: f"申请者证件类型为 {named('applicant_id_type_code')(at)}，这一事项很少见"),
        Feature("nulls", rarity(codes["nulls"], course), lambda at: "空缺的字段与同类办件不同"),
        Feature("flaws", rarity(codes["flaws"]), lambda at: "申请者名称或联系电话的写法有问题"),
        Feature("repeated", 2 * np.log(same_day), lambda at: f"同一申请者同日就同一事项有 {same_day[at]:g} 件"),
    ]  # fmt: skip
    # a feature that is always as it is says nothing; how it usually is, is the zero of each
    return Cases(rows, [Feature(f.name, np.maximum(f.surprise - np.median(f.surprise), 0), f.said) for f in features], np.where(longer, spread, taken))


def _coded(column: pa.ChunkedArray) -> Ints:
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def _log(seconds: Floats) -> Floats:
    """Time on a scale of its size; what ends before it begins is as far as the same time the right way round, on the other side."""
    return np.asarray(np.sign(seconds) * np.log1p(np.abs(seconds) / 60), dtype=np.float64)


def _usual(size: float) -> str:
    """A time of the scale of :func:`_log`."""
    return _span(float(np.sign(size) * np.expm1(abs(size)) * 60))


def _span(seconds: float) -> str:
    if np.isnan(seconds):
        return "（无时间）"
    size = abs(seconds)
    text = f" {size / 86400:.1f} 日" if size >= 86400 else f" {size / 3600:.1f} 小时" if size >= 3600 else f" {size / 60:.0f} 分钟"
    return f" −{text.strip()}" if seconds < 0 else text
