"""What the commands print: tables for people, CSV or JSON for programs."""

import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any, TextIO
from zoneinfo import ZoneInfo

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from models.domain.contracts import SUBJECT_TITLES
from models.domain.settings import Settings
from models.store.figures import run_figures

COUNTS = {
    "rows_read": "读取", "inserted": "新增", "updated": "更新", "unchanged": "未变", "superseded": "被替代", "deleted": "删除", "quarantined": "隔离",
}


def sync_table(counts: Sequence[Mapping[str, Any]]) -> Table:
    """Rows read and what became of them, one line a source and subject."""
    table = Table(title="同步（读取 = 新增 + 更新 + 未变 + 被替代 + 删除 + 隔离）", title_justify="left")
    table.add_column("数据源")
    table.add_column("主题")
    for title in COUNTS.values():
        table.add_column(title, justify="right")
    for row in counts:
        table.add_row(row["source"], SUBJECT_TITLES[row["subject"]], *(f"{row[name]:,}" for name in COUNTS))
    return table


def print_drift(console: Console, unmapped: Sequence[tuple[str, str, str]], missing: Sequence[tuple[str, str, str]]) -> None:
    """Columns (source, subject, column) that no field takes, and those that filled one before and were not there this time."""
    for source, subject, column in unmapped:
        console.print(f"  ! 数据源 {source} 的列“{column}”没有映射到{SUBJECT_TITLES[subject]}的任何字段，未读入", soft_wrap=True, markup=False)
    for source, subject, column in missing:
        console.print(f"  ! 数据源 {source} 的列“{column}”以前映射到{SUBJECT_TITLES[subject]}，这次读到的记录都没有它，字段为空", soft_wrap=True, markup=False)


def print_status(settings: Settings, console: Console, counts: Sequence[Mapping[str, Any]] | None = None) -> None:
    """The published run: sync (or the ``counts`` of a later one), checks, scores.

    Raises:
        YiwangError: YW-STORE-001 when nothing is published.
    """
    figures = run_figures(settings)
    console.print(f"运行 {figures.run_id}，数据截至 {figures.as_of.astimezone(ZoneInfo(settings.zone)):%Y-%m-%d %H:%M}", soft_wrap=True)
    console.print(sync_table(figures.sync if counts is None else counts))
    failed = [check for check in figures.checks if check["passed"] is False]
    empty = sum(check["passed"] is None for check in figures.checks)
    nothing = f"，没有可检查的行 {empty} 项" if empty else ""
    console.print(f"检查：通过 {len(figures.checks) - len(failed) - empty} 项，未通过 {len(failed)} 项{nothing}", highlight=False)
    for check in failed:
        console.print(f"  {'✗' if check.get('gate') else '!'} {check['message']}", soft_wrap=True, highlight=False)
    scores = Table(title=f"部门能力得分（自评，{figures.month:%Y 年 %m 月}）" if figures.month else "部门能力得分（自评）", title_justify="left")
    for title in ("名次", "部门", "得分", "已评指标"):
        scores.add_column(title, justify="left" if title == "部门" else "right")
    for row in figures.scores:
        score = "—" if row["score"] is None else f"{row['score']:.1f}"
        scores.add_row(str(row["rank"] or "—"), row["department_name"], score, f"{row['indicators_scored']}/{row['indicators_total']}")
    if figures.scores:
        console.print(scores)
    else:
        console.print("没有可评分的部门：办件要有受理部门（department_code）或能在事项清单中找到其事项，且当月各指标的分母达到下限。", soft_wrap=True)


def write_rows(batches: pa.RecordBatchReader, format: str, out: TextIO) -> None:
    """Streams rows as CSV with a header, or as one JSON array of objects."""
    names = batches.schema.names
    if format == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        for batch in batches:
            writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        return
    out.write("[")
    first = True
    for batch in batches:
        for row in batch.to_pylist():
            out.write(("" if first else ",") + "\n" + json.dumps(row, ensure_ascii=False, default=str))
            first = False
    out.write("\n]\n")
