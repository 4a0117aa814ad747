"""``yiwang quality``: what is wrong in a table."""

import csv
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from serving.cli.progress import Bars

if TYPE_CHECKING:
    from quality.detection.service import Findings, Score

app = typer.Typer(no_args_is_help=True, help="数据质量：找出表格中的错误。")
HEADER = ("row", "column", "kind", "reason", "suggestion", "value", "probability")


@app.callback()
def group() -> None:
    """Keeps ``detect`` a command of its own while it is the only one."""


@app.command()
def detect(
    table: Annotated[Path, typer.Argument(help="要检查的 CSV 文件，第一行是列名")],
    out: Annotated[Path, typer.Option("--out", help="写入可能有错的单元格的 CSV 文件：行、列、类别、原因、建议值")],
    rules: Annotated[Path | None, typer.Option("--rules", help="另须遵守的规则（YAML），写法见 docs/detection.md")] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="正确的表格（CSV，行列与被检查的相同），用来打印准确率、召回率和 F1")] = None,
) -> None:
    """找出一张表格中可能有错的单元格，不需要任何说明；行号从 1 开始，不含表头。"""
    from serving.cli.main import reports_errors

    reports_errors(_detect)(table, out, rules, truth)


def _detect(path: Path, out: Path, rules: Path | None, truth: Path | None) -> None:
    from quality.detection.service import detect as find
    from quality.detection.service import read_table, scored

    with Bars(Console(file=sys.stderr)) as bars:
        findings = find(read_table(path), rules, bars)
        results = scored(findings, truth) if truth else []
        _write(findings, out)
    console = Console(highlight=False)
    cells = findings.wrong.size
    console.print(f"检查 {findings.table.rows:,} 行 {len(findings.table.columns)} 列，{len(findings):,} 个单元格可能有错（{len(findings) / cells:.2%}），已写入 {out}", soft_wrap=True)
    if results:
        console.print(_scores(results))


def _write(findings: "Findings", out: Path) -> None:
    # in place at once: whoever reads the file sees all of it or the one before
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            for cell in findings.cells():
                writer.writerow([cell.row, cell.column, cell.kind, cell.reason, cell.suggestion, cell.value, f"{cell.probability:.3f}"])
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)


def _scores(results: "list[Score]") -> Table:
    table = Table(title=f"与正确的表格对照：{results[0].errors:,} 个单元格有错", title_justify="left")
    table.add_column("方法")
    for title in ("找出", "其中有错", "P", "R", "F1"):
        table.add_column(title, justify="right")
    for score in results:
        table.add_row(score.name, f"{score.found:,}", f"{score.right:,}", f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f1:.3f}")
    return table
