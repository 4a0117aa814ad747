"""``yiwang quality``: what is wrong in a table, what the rules found of planted errors, and what no rule says."""

import csv
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.domain.errors import YiwangError
from models.domain.settings import get_settings
from models.domain.spreadsheets import no_formula
from serving.cli.audit import settings_at
from serving.cli.progress import Bars

if TYPE_CHECKING:
    from quality.detection.service import Findings, Score
    from quality.scoring import Scoring

app = typer.Typer(no_args_is_help=True, help="数据质量：找出表格中的错误。")
Home = Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")]
HEADER = ("row", "column", "kind", "reason", "suggestion", "value", "probability")


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
    from quality.detection.service import Limits, read_table, scored
    from quality.detection.service import detect as find

    settings = get_settings()
    if not out.resolve().parent.is_dir():
        raise YiwangError("YW-SERVE-005", name="--out", detail=f"没有目录 {out.parent}")
    if out.is_dir():
        raise YiwangError("YW-SERVE-005", name="--out", detail=f"{out} 是目录，请写文件名")
    for given in (path, rules, truth):
        if given is not None and given.exists() and out.exists() and out.samefile(given):
            raise YiwangError("YW-SERVE-005", name="--out", detail=f"{out} 就是要读的 {given}，不能覆盖，请换一个文件名")
    with Bars(Console(file=sys.stderr)) as bars:
        findings = find(read_table(path), rules, bars, Limits(settings.quality_rule_seconds, settings.memory_limit))
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
                texts = map(no_formula, (cell.column, cell.kind, cell.reason, cell.suggestion, cell.value))
                writer.writerow([cell.row, *texts, f"{cell.probability:.3f}"])
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


@app.command()
def score(
    ledger: Annotated[Path, typer.Option("--ledger", help="植入错误的清单：样例城市的 sample/planted_errors.parquet")],
    twin: Annotated[Path | None, typer.Option("--twin", help="同一样例城市不植入错误（--errors 0）时的数据目录：那里也有的问题是天然的，不算误报")] = None,
    home: Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")] = None,
) -> None:
    """按种类对照植入的错误与规则查出的问题：召回率、精确率，以及规则看不见的种类和原因。"""
    from serving.cli.main import reports_errors

    reports_errors(_score)(ledger, twin, home)


def _score(ledger: Path, twin: Path | None, home: Path | None) -> None:
    from models.store.snapshots import SnapshotStore
    from quality.scoring import score as compare

    with settings_at(home) as settings:
        marts = SnapshotStore(settings).in_service().path
    if twin is not None:
        with settings_at(twin) as settings:
            twin = SnapshotStore(settings).in_service().path
    result = compare(ledger, marts, twin)
    console = Console(highlight=False)
    console.print(_kinds(result, with_rules=console.width >= 120))
    for kind in result.kinds:
        for reason, count in kind.missed.items():
            console.print(f"{kind.kind} 漏查 {count:,} 处：{reason}", soft_wrap=True)
    blind = [kind for kind in result.kinds if kind.reason]
    for kind in blind:
        console.print(f"规则看不见 {kind.kind} 的 {kind.planted - kind.quarantined - kind.seen:,} 处，另有 {kind.quarantined:,} 处已隔离：{kind.reason}", soft_wrap=True)
    wrong = sorted((alarm for alarm in result.alarms if alarm.wrong), key=lambda alarm: -alarm.wrong)
    if wrong:
        console.print("植入的错误不能解释的问题：" + "、".join(f"{alarm.rule} {alarm.wrong:,}" for alarm in wrong), soft_wrap=True)
    direct, related, natural = (sum(getattr(alarm, name) for alarm in result.alarms) for name in ("planted", "related", "natural"))
    console.print(f"召回率 {result.recall:.4f}（规则看得见的 {sum(kind.seen for kind in result.kinds):,} 处中查出 {sum(kind.found for kind in result.kinds):,} 处）", soft_wrap=True)
    console.print(
        f"精确率 {result.precision:.4f}（问题 {direct + related + sum(alarm.wrong for alarm in wrong):,} 个：植入处 {direct:,}，由其引起 {related:,}，"
        f"不能解释 {sum(alarm.wrong for alarm in wrong):,}；另有天然的 {natural:,} 个不计" + ("" if twin else "，未给 --twin，无从区分") + "）",
        soft_wrap=True,
    )


def _kinds(result: "Scoring", with_rules: bool) -> Table:
    table = Table(title="植入的错误与规则查出的问题", title_justify="left")
    table.add_column("种类", no_wrap=True)
    for title in ("植入", "已隔离", "看得见", "查出", "漏查", "召回率", "精确率"):
        table.add_column(title, justify="right")
    if with_rules:
        table.add_column("规则")
    for kind in result.kinds:
        rates = ("—" if rate is None else f"{rate:.3f}" for rate in (kind.recall, result.precision_of(kind)))
        more = f" 等 {len(kind.rules)} 条" if len(kind.rules) > 2 else ""
        cells = [kind.kind, *(f"{number:,}" for number in (kind.planted, kind.quarantined, kind.seen, kind.found, kind.seen - kind.found)), *rates]
        table.add_row(*cells, *(["、".join(kind.rules[:2]) + more] if with_rules else []))
    return table


@app.command()
def profile(
    table: Annotated[str | None, typer.Argument(help="集市表，如 fct_case；不写则列出各表和与上月不同的列")] = None,
    home: Home = None,
) -> None:
    """打印已发布集市各列的画像：类型、空值、取值、写法、分位数，以及与上月的差异。"""
    from serving.cli.main import reports_errors

    reports_errors(_profile)(table, home)


def _profile(table: str | None, home: Path | None) -> None:
    from models.store.quality import QualityRepository
    from models.store.snapshots import SnapshotStore
    from quality.profile.service import profiled_tables, profiles_of

    console = Console(highlight=False)
    with settings_at(home) as settings:
        store = SnapshotStore(settings)
        snapshot = store.in_service()
        quality = QualityRepository(store)
        if table is None:
            console.print(_tables(quality.profiled(snapshot)))
            return
        rows = quality.profile(snapshot, table)
        if not rows:  # it was not profiled by the run: then now, without a month to compare with
            with store.acquire(snapshot) as connection:
                if table not in profiled_tables(connection):
                    raise YiwangError("YW-QUALITY-006", table=table, known="、".join(profiled_tables(connection)) or "（无）")
                rows = profiles_of(connection, table)
    console.print(_columns(table, rows, is_wide=console.width >= 140))
    for row in rows:
        if row.get("is_drifted"):
            console.print(f"与上月不同：{row['column_name']} {row['drift_reason']}", markup=False, soft_wrap=True)


@app.command()
def suspicions(
    kind: Annotated[str | None, typer.Option("--kind", help="只看一类：duration、steps、volume、levels、channel、staff、text、pattern")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="每类最多打印几条")] = 20,
    unruled: Annotated[bool, typer.Option("--unruled", help="只看规则没有发现问题的记录")] = False,
    home: Home = None,
) -> None:
    """打印可疑记录：规则没有说、但与同类明显不同；不是问题，不计入任何得分。"""
    from serving.cli.main import reports_errors

    reports_errors(_suspicions)(kind, limit, unruled, home)


def _suspicions(kind: str | None, limit: int, unruled: bool, home: Path | None) -> None:
    from models.store.quality import QualityRepository
    from models.store.snapshots import SnapshotStore
    from quality.suspicion.service import KINDS

    if kind is not None and kind not in KINDS:
        raise YiwangError("YW-SERVE-005", name="--kind", detail=f"没有这一类，可选：{'、'.join(KINDS)}")
    console = Console(highlight=False)
    with settings_at(home) as settings:
        store = SnapshotStore(settings)
        rows = QualityRepository(store).suspicions(store.in_service(), kind, unruled_only=unruled, most=limit)
    if not rows:
        console.print("没有可疑记录。")
    for name, title in KINDS.items():
        own = [row for row in rows if row["kind"] == name]
        if own:
            out = Table(title=f"{title}（{name}）", title_justify="left")
            out.add_column("记录", overflow="fold")
            out.add_column("部门", overflow="fold")
            out.add_column("程度", justify="right")
            out.add_column("说明", overflow="fold")
            for row in own:
                out.add_row(escape(row["record_key"]), row["department_name"] or row["department_code"] or "—", f"{row['score']:.2f}", escape(row["reason"]))
            console.print(out)


@app.command()
def suggest(
    table: Annotated[str, typer.Argument(help="集市表，如 fct_case")],
    support: Annotated[float, typer.Option("--min-support", min=0.5, max=1.0, help="至少多大比例的行成立（按 95% 置信下限）")] = 0.98,
    home: Home = None,
) -> None:
    """由数据提出规则（YAML，附支持度）：函数依赖、写法、取值、范围、非空、唯一、先后、引用；现有规则已说的和只是碰巧成立的不提。"""
    from serving.cli.main import reports_errors

    reports_errors(_suggest)(table, support, home)


def _suggest(table: str, support: float, home: Path | None) -> None:
    from models.store.snapshots import SnapshotStore
    from quality.profile.proposals import as_yaml, propose
    from quality.service import load_rules

    with settings_at(home) as settings, Bars(Console(file=sys.stderr)) as bars:
        store = SnapshotStore(settings)
        with store.acquire(store.in_service()) as connection:
            proposals = propose(connection, table, load_rules(), support, bars)
    sys.stdout.write(as_yaml(table, proposals))


def _tables(rows: list[dict[str, Any]]) -> Table:
    out = Table(title="数据画像", title_justify="left")
    out.add_column("数据表", no_wrap=True)
    for title in ("行", "列", "全空的列", "与上月不同"):
        out.add_column(title, justify="right")
    for row in rows:
        out.add_row(row["table_name"], f"{row['row_count']:,}", *(f"{row[name]:,}" for name in ("columns", "empty", "drifted")))
    return out


def _columns(table: str, rows: list[dict[str, Any]], *, is_wide: bool) -> Table:
    out = Table(title=f"{table}：{rows[0]['row_count']:,} 行", title_justify="left")
    out.add_column("列", overflow="fold")
    out.add_column("类型", overflow="fold")
    out.add_column("空值", justify="right")
    out.add_column("不同值", justify="right")
    for title in ("最小", "中位", "最大") if is_wide else ():
        out.add_column(title, overflow="ellipsis", max_width=19)
    out.add_column("常见值（个人信息和各不相同的只列写法）", overflow="fold")
    for row in rows:
        said = row["frequent"] or row["shapes"]
        common = "、".join(f"{_short(one['value'])} {one['share']:.1%}" for one in json.loads(said)[: 5 if is_wide else 3]) if said else "—"
        ends = ["" if row[name] is None else _short(row[name]) for name in ("minimum", "p50", "maximum")] if is_wide else []
        nulls = _share(row["null_count"], row["row_count"])
        out.add_row(row["column_name"], row["data_type"].replace(" WITH TIME ZONE", "TZ"), nulls, f"{row['distinct_count']:,}", *ends, escape(common))
    return out


def _share(part: int, whole: int) -> str:
    """Neither nothing nor all where it is a little or nearly all."""
    if not whole:
        return "—"
    return "<0.1%" if 0 < part < whole / 1000 else ">99.9%" if whole * 0.999 < part < whole else f"{part / whole:.1%}"


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"
