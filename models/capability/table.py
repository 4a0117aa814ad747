"""A table of units × indicators, without a warehouse: read, scored, written. Wrong input is refused with its line and column."""

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from models.capability.engine import NOTHING_SCORED, TOO_FEW_SCORED, Evaluation, Figures, evaluate
from models.capability.methods.arrays import Array
from models.capability.systems.model import System, nodes
from models.domain.errors import YiwangError

NUMERATOR, DENOMINATOR = "_numerator", "_denominator"
"""After an indicator's code: columns of a share that is not divided yet."""
_NULLS = ["", "na", "nan", "null", "none", "n/a", "#n/a"]
STAGES = ("raw", "denominated", "shrunk", "imputed", "treated", "normalised")


@dataclass(frozen=True)
class TableScores:
    """A table's scores.

    Attributes:
        evaluation: Every stage.
        unused: Columns that the system does not read.
        empty: Names of indicators without points for any unit in any period, e.g. for denominators that are all zero.
        not_shrunk: Names of indicators that the system wants shrunk and whose denominators the table does not say.
    """

    evaluation: Evaluation
    unused: tuple[str, ...]
    empty: tuple[str, ...]
    not_shrunk: tuple[str, ...]


def score_table(system: System, path: Path, period: str | None = None) -> TableScores:
    """Scores a CSV file with a header; UTF-8 or GB 18030.

    Columns are found by their names: those of ``system.columns``, an indicator by its code or name (or its code with
    ``_numerator`` and ``_denominator`` where the value is a share of the warehouse), denominators and groups as the system calls them.

    Args:
        system: How it is scored.
        path: The file; a row a unit, or a unit and period.
        period: Only the rows of this period.

    Raises:
        YiwangError: YW-SCORE-002 when the table cannot be read as the system wants it, YW-SCORE-003 when its values
            cannot be scored.
    """
    reader = _Reader(system, path)
    figures = reader.figures(period)
    present = [int(row.sum()) for row in figures.present]
    if system.reference == "each" and max(present) == 1 or figures.present.sum() == 1:
        for leaf in system.indicators:
            if leaf.normalisation.is_relative:
                detail = f"只有一个单位，而“{leaf.name}”的标准化 {leaf.normalisation.method} 要与别的单位相比；请增加单位，或改用 share、target、steps"
                raise YiwangError("YW-SCORE-003", detail=detail)
    evaluation = evaluate(system, figures)
    scored = np.count_nonzero(~np.isnan(evaluation.normalised), axis=(0, 1))
    empty = tuple(leaf.name for leaf, number in zip(system.indicators, scored, strict=True) if not number)
    whole = tuple(leaf.name for leaf, divided in zip(system.indicators, figures.is_divided, strict=True) if leaf.shrinkage != "none" and not divided)
    return TableScores(evaluation, reader.unused, empty, whole)


class _Reader:
    """A table as text, and which of its columns the system reads."""

    def __init__(self, system: System, path: Path) -> None:
        self._system, self._path = system, path
        self._table, self._lines = self._read()
        self._used: set[str] = set()

    @property
    def unused(self) -> tuple[str, ...]:
        return tuple(name for name in self._table.column_names if name not in self._used)

    def figures(self, period: str | None) -> Figures:
        columns = self._system.columns
        if columns.unit not in self._table.column_names:
            if len(self._table.column_names) == 1:
                raise self._refused("只有一列，列与列之间应以英文逗号分隔；请另存为以逗号分隔的 CSV")
            raise self._refused(f"没有单位代码列 {columns.unit}，表中的列有 {self._shown()}；列名不同时请在体系的 columns 中写明")
        self._missing_columns()
        codes = self._texts(columns.unit)
        if (codes == "").any():
            raise self._refused(f"第 {self._lines[np.argmax(codes == '')]} 行没有单位代码")
        has_period = columns.period in self._table.column_names
        if period is not None and not has_period:
            raise self._refused(f"没有年份列 {columns.period}，不能按 {period} 选取")
        of = np.array([_canonical(text) for text in self._texts(columns.period)]) if has_period else np.full(len(codes), str(self._system.year))
        if period is not None and _canonical(period) not in of:
            raise self._refused(f"没有 {period} 的行，{columns.period} 列有 {'、'.join(sorted(set(of))[:10])}")
        chosen = np.flatnonzero(of == _canonical(period)) if period is not None else np.arange(len(codes))
        if not len(chosen):
            raise self._refused("没有一行数据")
        periods, period_of = np.unique(of[chosen], return_inverse=True)
        first = {code: number for number, code in enumerate(dict.fromkeys(codes[chosen].tolist()))}
        unit_of = np.array([first[code] for code in codes[chosen].tolist()])
        self._check_once(codes, of, chosen, period_of, unit_of, len(first))
        shape = (len(periods), len(first))

        def spread(column: NDArray[np.generic], nothing: object) -> NDArray[np.generic]:
            found = np.full((*shape, *column.shape[1:]), nothing, dtype=column.dtype)
            found[period_of, unit_of] = column[chosen]
            return found

        names = dict(zip(codes[chosen].tolist(), (self._texts(columns.name) if columns.name in self._table.column_names else codes)[chosen].tolist(), strict=True))
        groups = {leaf.missing.group for leaf in self._system.indicators if leaf.missing.group}
        values, denominators, is_divided = self._values()
        held = np.isnan(values[chosen]).all(axis=0)
        if held.any():
            name = self._system.indicators[int(np.flatnonzero(held)[0])].name
            raise self._refused(f"指标“{name}”整列没有值；请补上，或在体系中把它写为 not_measured")
        return Figures(
            tuple(first), tuple(names[code] or code for code in first), tuple(periods.tolist()), spread(values, np.nan).astype(np.float64),
            None if denominators is None else spread(denominators, np.nan).astype(np.float64), is_divided,
            spread(np.ones(len(codes), dtype=bool), False).astype(bool), {group: spread(self._texts(group), "").astype(str) for group in groups},
        )  # fmt: skip

    def _read(self) -> tuple[pa.Table, NDArray[np.intp]]:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise self._refused("没有这个文件" if isinstance(error, FileNotFoundError) else f"文件打不开（{error.strerror}）") from error
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            try:
                text = content.decode("gb18030")
            except UnicodeDecodeError:
                raise self._refused("编码既不是 UTF-8 也不是 GB18030，请另存为 UTF-8 的 CSV") from None
        header = [name.strip() for name in next(csv.reader(io.StringIO(text)), [])]
        if not header or "" in header:
            raise self._refused("第一行应是列名，且不能有空的列名")
        if repeated := sorted({name for name in header if header.count(name) > 1}):
            raise self._refused(f"列名重复：{'、'.join(repeated)}")
        bad: list[pyarrow.csv.InvalidRow] = []

        def remember(row: pyarrow.csv.InvalidRow) -> str:
            bad.append(row)
            return "skip"

        table = pyarrow.csv.read_csv(
            pa.BufferReader(text.encode()),
            read_options=pyarrow.csv.ReadOptions(column_names=header, skip_rows=1, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=remember),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False),
        )
        if bad:
            row = bad[0]
            raise self._refused(f"第 {row.number} 行有 {row.actual_columns} 列，表头有 {row.expected_columns} 列")
        return table, np.arange(2, table.num_rows + 2)

    def _missing_columns(self) -> None:
        """Refuses a table that lacks what the system reads."""
        there = set(self._table.column_names)
        wanted = [
            f"{leaf.name}（{leaf.code}）" for leaf in self._system.indicators
            if not there & {leaf.code, leaf.name} and not (leaf.measure and {leaf.code + NUMERATOR, leaf.code + DENOMINATOR} <= there)
        ]
        for leaf in self._system.indicators:
            other = (leaf.denominator if leaf.external else None, leaf.missing.group)
            wanted += [column for column in other if column and column not in there]
        if wanted:
            more = f"等 {len(wanted)} 列" if len(wanted) > 8 else ""
            raise self._refused(f"缺少列 {'、'.join(dict.fromkeys(wanted[:8]))}{more}，表中的列有 {self._shown()}")

    def _check_once(
        self, codes: NDArray[np.str_], of: NDArray[np.str_], chosen: NDArray[np.intp], period_of: NDArray[np.intp], unit_of: NDArray[np.intp], units: int
    ) -> None:
        keys = period_of * units + unit_of
        _, index = np.unique(keys, return_index=True)
        if len(index) == len(keys):
            return
        again = int(np.setdiff1d(np.arange(len(keys)), index)[0])
        row = chosen[again]
        raise self._refused(f"第 {self._lines[row]} 行：单位 {codes[row]} 在 {of[row]} 已有一行")

    def _values(self) -> tuple[Array, Array | None, NDArray[np.bool_]]:
        leaves = self._system.indicators
        values = np.empty((self._table.num_rows, len(leaves)))
        denominators = np.full(values.shape, np.nan)
        is_divided = np.zeros(len(leaves), dtype=bool)
        there = set(self._table.column_names)
        for number, leaf in enumerate(leaves):
            if leaf.code in there and leaf.name in there and leaf.code != leaf.name:
                raise self._refused(f"列 {leaf.code} 和 {leaf.name} 是同一个指标，请只留一列")
            column = leaf.code if leaf.code in there else leaf.name
            divisor = leaf.denominator if leaf.external else None
            if column not in there:
                column, divisor = leaf.code + NUMERATOR, leaf.code + DENOMINATOR
            values[:, number] = self._numbers(column)
            if divisor:
                denominators[:, number], is_divided[number] = self._numbers(divisor), True
        return values, denominators if is_divided.any() else None, is_divided

    def _texts(self, column: str) -> NDArray[np.str_]:
        self._used.add(column)
        found: NDArray[np.str_] = np.array(pc.utf8_trim_whitespace(self._table[column]).to_pylist(), dtype=str)
        return found

    def _numbers(self, column: str) -> Array:
        self._used.add(column)
        texts = pc.utf8_trim_whitespace(self._table[column])
        texts = pc.if_else(pc.is_in(pc.utf8_lower(texts), pa.array(_NULLS)), pa.scalar(None, pa.string()), texts)
        try:
            numbers: Array = texts.cast(pa.float64()).to_numpy().astype(np.float64)
        except pa.ArrowInvalid:
            numbers = np.array([np.nan if text is None else _number(text) for text in texts.to_pylist()])
        wrong = np.flatnonzero(~np.isfinite(numbers) & np.asarray(pc.is_valid(texts)))
        if len(wrong):
            text = texts[int(wrong[0])].as_py()
            raise self._refused(f"第 {self._lines[wrong[0]]} 行“{column}”列的“{text}”不是数；没有值请留空")
        return numbers

    def _shown(self) -> str:
        names = self._table.column_names
        return "、".join(names[:12]) + (f" 等 {len(names)} 列" if len(names) > 12 else "")

    def _refused(self, detail: str) -> YiwangError:
        return YiwangError("YW-SCORE-002", path=self._path, detail=detail)


def result(evaluation: Evaluation) -> pa.Table:
    """One row a unit and period, best first: score, rank, band, then the points of every node and indicator under its code."""
    system, figures = evaluation.system, evaluation.figures
    period, unit = np.nonzero(figures.present)
    score, rank = evaluation.score[period, unit], evaluation.rank[period, unit]
    order = np.lexsort((unit, np.where(rank == 0, len(figures.units) + 1, rank), period))
    period, unit, score, rank = period[order], unit[order], score[order], rank[order]
    bands = [None if number < 0 else system.bands[number].name for number in evaluation.band[period, unit].tolist()]
    few = [NOTHING_SCORED if np.isnan(s) else (None if r else TOO_FEW_SCORED) for s, r in zip(score, rank, strict=True)]
    columns: dict[str, pa.Array] = {
        "system_code": pa.array([system.code] * len(unit), pa.string()),
        "unit_code": pa.array([figures.units[u] for u in unit], pa.string()),
        "unit_name": pa.array([figures.names[u] for u in unit], pa.string()),
        "period": pa.array([figures.periods[p] for p in period], pa.string()),
        "score": _column(score),
        "rank": pa.array(rank, pa.int32(), mask=rank == 0),
        "band": pa.array(bands, pa.string()),
        "label": pa.array([system.label] * len(unit), pa.string()),
        "indicators_scored": pa.array(evaluation.scored[period, unit], pa.int32()),
        "indicators_total": pa.array([len(system.indicators)] * len(unit), pa.int32()),
        "null_reason": pa.array(few, pa.string()),
    }
    columns |= {node.code: _column(evaluation.nodes[node.code][period, unit]) for node in nodes(system) if node is not system}
    columns |= {leaf.code: _column(evaluation.normalised[period, unit, n]) for n, leaf in enumerate(system.indicators)}
    return pa.table(columns)


def stage(evaluation: Evaluation, name: str) -> pa.Table:
    """A stage of :data:`STAGES` as a table: one row a unit and period, a column an indicator's code."""
    figures = evaluation.figures
    values = figures.values if name == "raw" else getattr(evaluation, name)
    period, unit = np.nonzero(figures.present)
    keys = {
        "unit_code": pa.array([figures.units[u] for u in unit], pa.string()),
        "unit_name": pa.array([figures.names[u] for u in unit], pa.string()),
        "period": pa.array([figures.periods[p] for p in period], pa.string()),
    }
    return pa.table(keys | {leaf.code: _column(values[period, unit, n].round(12)) for n, leaf in enumerate(evaluation.system.indicators)})


def write_csv(table: pa.Table, path: Path) -> None:
    """Writes a table as UTF-8 that spreadsheets recognise, at once: whoever reads the file sees all of it or the one before."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(b"\xef\xbb\xbf")
            pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(quoting_style="needed"))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _canonical(text: str) -> str:
    """A period as people compare it: 2018.0 is 2018."""
    text = text.strip()
    return text.removesuffix(".0") if text.removesuffix(".0").isdigit() else text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.inf


def _column(values: Array) -> pa.Array:
    numbers = np.ascontiguousarray(values, dtype=np.float64)
    return pa.array(numbers, pa.float64(), mask=np.isnan(numbers))
