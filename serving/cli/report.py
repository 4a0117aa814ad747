"""``yiwang report``: packages for the platform above: build, verify, list, resend, correct, withdraw, and what is held back.

``report verify`` ends with exit code 1 where the package is not as it was made, 2 where it could not look.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.domain.contracts import SUBJECT_TITLES
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.cli.audit import settings_at
from serving.cli.progress import Bars

if TYPE_CHECKING:
    from quality.reporting.service import HeldGroup, Manifest, Package

app = typer.Typer(no_args_is_help=True, help="精准上报：建包、核验、重发、更正、撤回，以及未上报的记录。")
Home = Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")]
Subject = Annotated[str, typer.Option("--subject", help="matter、case、case_event、certificate 或 review")]
Days = Annotated[str, typer.Option("--period", help="2026-06、2026-06-15 或 2026-06-01..2026-06-15")]
Rules = Annotated[Path | None, typer.Option("--rules", help="规则目录，默认为随附的规则")]
Keys = Annotated[Path, typer.Option("--keys", help="主键清单，每行一个；两个来源都有时在前面写来源和制表符")]
_WHOLE = ("包号", "规则")
"""Columns that are not broken over lines, however narrow the terminal."""
_KINDS = {"build": "上报", "correct": "更正", "withdraw": "撤回"}
_ACTIONS = {"new": "新增", "late": "补报", "correct": "更正", "withdraw": "撤回"}
Number = Annotated[str, typer.Argument(help="包号，例如 case-000001")]


@app.command()
def build(
    subject: Subject, period: Days, rules: Rules = None,
    vanished: Annotated[float, typer.Option(min=0, max=1, help="已上报的记录一次在来源消失的比例上限，超过则不建包")] = 0.2,
    home: Home = None,
) -> None:
    """按主题和上报期建包：只含合格的记录，以及此前未上报、已整改、有变化和来源已删除的。"""
    from quality.reporting import service

    with settings_at(home) as settings:
        days = service.Period.parse(period)
        with Bars(Console(stderr=True)) as bars:
            package = service.build(settings, subject, days, datetime.now(UTC), rules=rules, vanished=vanished, progress=bars)
        _print(settings, package)


@app.command()
def verify(
    package: Annotated[Path, typer.Argument(help="上报包的目录")],
    key: Annotated[Path | None, typer.Option("--key", help="公钥文件（PEM），默认用本平台的密钥")] = None,
    home: Home = None,
) -> None:
    """核验上报包：签名、每个文件的摘要和行数、对账；有问题时退出码为 1。"""
    from quality.reporting import service

    with settings_at(home) as settings:
        problem = service.verify(settings, package, key)
        if problem is None:
            manifest = service.read_manifest(package)
            _say(f"{manifest.package} 完好：{manifest.lines:,} 行，{len(manifest.files)} 个文件，签名和摘要相符。")
            _say(_of(settings, manifest))
            later = None if key else service.later(settings, manifest)
            if later is None:
                _say("没有台账可对照；是不是最新的包，请按包号、上报期和建包时间判断。")
            elif later:
                _say(f"注意：此后已建 {later[-1].number}（{_time(settings, later[-1].built_at)}），这是旧包。")
            else:
                _say(f"台账中{manifest.title}的最新一包。")
    if problem is not None:
        _say(f"✗ {problem}")
        raise typer.Exit(1)


@app.command()
def held(
    subject: Subject, period: Days,
    out: Annotated[Path | None, typer.Option("--out", help="把各部门的清单写入这个目录（须尚不存在）")] = None,
    rules: Rules = None, home: Home = None,
) -> None:
    """查看现在建包会暂缓上报的记录，按部门和规则；不建包。"""
    from quality.reporting import service

    with settings_at(home) as settings:
        days = service.Period.parse(period)
        with Bars(Console(stderr=True)) as bars:
            rows = service.held(settings, subject, days, out, rules=rules, progress=bars)
    _print_held(rows, "没有暂缓上报的记录。")


@app.command()
def show(number: Number, home: Home = None) -> None:
    """查看建过的一个包：内容、对账，以及未上报的记录按部门和规则的数目。"""
    from quality.reporting import service

    with settings_at(home) as settings:
        manifest = service.manifest_of(settings, number)
        rows = service.held_groups(settings, number)
    period = f"{manifest.period.first} 至 {manifest.period.last}" if manifest.period else "（按清单）"
    _say(f"{number}：{manifest.title}，{period}，数据截至 {manifest.as_of.astimezone(settings.tzinfo):%Y-%m-%d}")
    _say("，".join(f"{title} {manifest.counts.get(action, 0):,}" for action, title in _ACTIONS.items()))
    if closing := manifest.reconciliation:
        _say(
            f"来源 {closing.source_rows:,} 行＝本包 {closing.in_package:,}＋此前已报 {closing.reported_before:,}＋未上报 {closing.held_back:,}＋已撤回 {closing.withdrawn:,}"
            f"＋不在各期 {closing.not_due:,}＋隔离 {closing.quarantined:,}＋被新版取代 {closing.superseded:,}"
        )
    _print_held(rows, "没有未上报的记录。")


@app.command("list")
def list_packages(subject: Annotated[str | None, typer.Option("--subject", help="只看一个主题")] = None, home: Home = None) -> None:
    """列出已建的包。"""
    from quality.reporting import service

    with settings_at(home) as settings:
        table = _table("包号", "类型", "上报期", "数据截至", "行数", "未上报", "建包时间")
        for package in service.packages(settings, subject):
            table.add_row(
                package.number, _KINDS[package.kind], str(package.period or ""),
                f"{package.as_of.astimezone(settings.tzinfo):%Y-%m-%d}", f"{package.rows:,}", f"{package.held:,}",
                f"{package.built_at.astimezone(settings.tzinfo):%Y-%m-%d %H:%M}",
            )  # fmt: skip
        Console().print(table)


@app.command()
def resend(number: Number, to: Annotated[Path, typer.Option("--to", help="复制到这个目录下")], home: Home = None) -> None:
    """把建过的包原样（逐字节相同）再给出一份。"""
    from quality.reporting import service

    with settings_at(home) as settings:
        _say(f"已复制到 {service.resend(settings, number, to)}")


@app.command()
def correct(subject: Subject, keys: Keys, rules: Rules = None, home: Home = None) -> None:
    """按主键清单更正：以现在的内容再报一次；有一条不合格则都不报。"""
    from quality.reporting import service

    with settings_at(home) as settings:
        with Bars(Console(stderr=True)) as bars:
            package = service.correct(settings, subject, _keys(keys), datetime.now(UTC), rules=rules, progress=bars)
        _print(settings, package)


@app.command()
def withdraw(subject: Subject, keys: Keys, home: Home = None) -> None:
    """按主键清单撤回已上报的记录；内容变化或更正之前不再上报。"""
    from quality.reporting import service

    with settings_at(home) as settings:
        with Bars(Console(stderr=True)) as bars:
            package = service.withdraw(settings, subject, _keys(keys), datetime.now(UTC), progress=bars)
        _print(settings, package)
        if left := service.followers(settings, package.number):
            counts = "、".join(f"{SUBJECT_TITLES[name]} {rows:,} 条" for name, rows in left.items())
            _say(f"所属的{counts}还在上级，请接着建它们的下一包，随包撤回。")


@app.command()
def key(home: Home = None) -> None:
    """输出公钥（PEM），交给上级平台核验用。"""
    from quality.reporting import service

    with settings_at(home) as settings:
        typer.echo(service.public_key(settings), nl=False)


def _print(settings: Settings, package: "Package") -> None:
    from quality.reporting import service

    folder = service.folder_of(settings, package.number)
    counts = service.read_manifest(folder).counts
    _say(f"{package.number}：{'，'.join(f'{_ACTIONS[action]} {rows:,}' for action, rows in counts.items())}；未上报 {package.held:,} 条")
    _say(f"上报包：{folder}")
    if package.held:
        _say(f"各部门的未上报清单：{service.held_folder_of(settings, package.number)}")


def _print_held(rows: Sequence["HeldGroup"], none: str) -> None:
    _say(f"未上报 {sum(row.first for row in rows):,} 条。" if rows else none)
    table = _table("部门", "规则", "名称", "首先因此", "全部涉及")
    for row in rows:
        table.add_row(row.department_name or row.department_code or "（未知）", row.rule_id, row.rule, f"{row.first:,}", f"{row.all:,}")
    if rows:
        Console().print(table)


def _of(settings: Settings, manifest: "Manifest") -> str:
    """What a package is, so that an old one shown again can be told by eye."""
    from quality.reporting import service

    days = manifest.period
    about = f"上报期 {service.Period(days.first, days.last)}" if days else _KINDS[manifest.kind]
    after = f"接 {manifest.previous.package}" if manifest.previous else "首包"
    return f"{manifest.title}，{about}，{_time(settings, manifest.built_at)} 建包，数据截至 {_time(settings, manifest.as_of)}，{after}。"


def _time(settings: Settings, at: datetime) -> str:
    return f"{at.astimezone(settings.tzinfo):%Y-%m-%d %H:%M}"


def _keys(path: Path) -> Sequence[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise YiwangError("YW-REPORT-008", detail=f"{path} 不是 UTF-8 文本") from error


def _table(*titles: str) -> Table:
    table = Table()
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title in _WHOLE)  # keys and numbers are copied from here
    return table


def _say(text: str) -> None:
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
