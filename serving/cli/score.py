"""``yiwang score``: any table of units × indicators by any indicator system, without a warehouse."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.domain.errors import YiwangError

if TYPE_CHECKING:
    from models.capability.service import TableScores

MOST_SHOWN = 15


def score(
    system: Annotated[str, typer.Option("--system", help="指标体系：YAML 文件，或随附体系的代码，例如 national")],
    table: Annotated[Path, typer.Option("--table", help="要评分的 CSV 文件：每行一个单位，列名是指标的代码或名称")],
    out: Annotated[Path, typer.Option("--out", help="写入得分、名次、等级和各级得分的 CSV 文件")],
    year: Annotated[str | None, typer.Option("--year", help="只评这一年（或这一期）的行")] = None,
    robustness: Annotated[int, typer.Option("--robustness", min=0, max=1_000_000, help="另作这么多次随机抽样，给出名次区间")] = 0,
    stages: Annotated[Path | None, typer.Option("--stages", help="把每一步的结果各写成一个 CSV，放入这个目录")] = None,
) -> None:
    """按指标体系为一张表格评分，不需要数据仓库；格式见 docs/capability.md。"""
    from serving.cli.main import reports_errors

    reports_errors(_score)(system, table, out, year, robustness, stages)


def _score(system: str, table: Path, out: Path, year: str | None, robustness: int, stages: Path | None) -> None:
    from models.capability import service

    if not out.resolve().parent.is_dir():
        raise YiwangError("YW-SERVE-005", name="--out", detail=f"没有目录 {out.parent}")
    if out.exists() and table.exists() and out.samefile(table):
        raise YiwangError("YW-SERVE-005", name="--out", detail="不能写入被评分的表格本身")
    # a word that is no file may be a code that was mistyped: what ships is listed
    is_file = Path(system).exists() or Path(system).suffix or Path(system).name != system
    chosen = service.load_system(Path(system) if is_file and system not in service.shipped_systems() else system)
    scores = service.score_table(chosen, table, year)
    written = service.result(scores.evaluation)
    if robustness:
        written = service.with_intervals(written, scores.evaluation, robustness)
    service.write_csv(written, out)
    if stages:
        stages.mkdir(parents=True, exist_ok=True)
        for name in service.STAGES:
            service.write_csv(service.stage(scores.evaluation, name), stages / f"{name}.csv")
    _print(scores, written.slice(0, MOST_SHOWN).to_pylist(), written.num_rows, out)


def _print(scores: "TableScores", rows: list[dict[str, object]], total: int, out: Path) -> None:
    console, system = Console(highlight=False), scores.evaluation.system
    shown = Table(title=f"{escape(system.name)} {system.year}（{system.label}）", title_justify="left")
    has_intervals = bool(rows) and "rank_low" in rows[0]
    for title in ("名次", *(("名次区间",) if has_intervals else ()), "单位", "期", "得分", "等级", "已评指标"):
        shown.add_column(title, justify="left" if title in ("单位", "等级") else "right")
    for row in rows:
        interval = [f"{row['rank_low']}–{row['rank_high']}" if row["rank"] else "—"] if has_intervals else []
        score = "—" if row["score"] is None else f"{row['score']:.2f}"
        count = f"{row['indicators_scored']}/{row['indicators_total']}"
        shown.add_row(str(row["rank"] or "—"), *interval, escape(str(row["unit_name"])), str(row["period"]), score, str(row["band"] or "—"), count)
    console.print(shown)
    if total > len(rows):
        console.print(f"共 {total:,} 行，其余见文件。")
    if system.not_measured:
        console.print(f"未采集、不计分的指标 {len(system.not_measured)} 项。")
    for name in scores.empty:
        console.print(f"  ! 指标“{name}”没有一个单位有得分（分母为零、样本不足，或各单位的值完全相同），未计入", soft_wrap=True, markup=False)
    for name in scores.not_shrunk:
        console.print(f"  ! 指标“{name}”没有分子和分母列，未作小样本收缩", soft_wrap=True, markup=False)
    if scores.unused:
        console.print(f"  ! 表中未使用的列：{'、'.join(scores.unused[:10])}{' 等' if len(scores.unused) > 10 else ''}", soft_wrap=True, markup=False)
    console.print(f"已写入 {out}", soft_wrap=True, markup=False)
