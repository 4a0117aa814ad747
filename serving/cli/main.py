"""``yiwang``: sample, sync, run, status, serve, sql.

Commands call one service each and import it themselves: ``yiwang sql`` must not wait for Dagster to load.
An error of ours ends with exit code 2 and one line on the error stream.
"""

import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from models.domain.errors import YiwangError
from models.domain.settings import Settings, get_settings
from serving.cli.audit import app as audit_app
from serving.cli.audit import store as store_app
from serving.cli.pour import pour as pour_command
from serving.cli.progress import Bars
from serving.cli.provider import app as provider_app
from serving.cli.quality import app as quality_app
from serving.cli.report import app as report_app
from serving.cli.score import score as score_command
from serving.cli.sources import app as sources_app
from serving.cli.staff import app as staff_app
from serving.cli.worker import worker as worker_command

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="一网：政务服务数据与智能平台。")
app.add_typer(sources_app, name="sources")
app.add_typer(audit_app, name="audit")
app.add_typer(store_app, name="store")
app.add_typer(staff_app, name="staff")
app.add_typer(provider_app, name="login-provider")
app.add_typer(quality_app, name="quality")
app.add_typer(report_app, name="report")
app.command("worker")(worker_command)
app.command("pour")(pour_command)
app.command("score")(score_command)
Home = Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")]
Sources = Annotated[Path | None, typer.Option("--sources", help="数据源配置，默认取数据目录下的 sources.yml")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="截止时刻：2026-06-30（当日末）或 2026-06-30T12:00:00")]


P = ParamSpec("P")
R = TypeVar("R")


def main() -> None:
    """Entry point of the console script."""
    app()


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turns our errors into one line and exit code 2, a broken pipe or an interrupt into a quiet end."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except YiwangError as error:
            Console(stderr=True, highlight=False).print(f"[red]{error.code}[/red] {error.message}", soft_wrap=True)
            raise typer.Exit(2) from None
        except OSError as error:
            failed = YiwangError("YW-RUN-007", path=error.filename or "文件", detail=error.strerror or type(error).__name__)
            Console(stderr=True, highlight=False).print(f"[red]{failed.code}[/red] {failed.message}", soft_wrap=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            Console(stderr=True).print("已中断，再次运行即可续跑。")
            raise typer.Exit(130) from None

    return guarded


@app.command()
@reports_errors
def sample(
    cases: Annotated[int, typer.Option(help="办件数，1000 到 10000000")] = 20_000,
    until: Annotated[str, typer.Option(help="数据截止日，样例从不取当天日期")] = "2026-06-30",
    seed: Annotated[int, typer.Option(help="随机种子：相同种子得到相同数据")] = 7,
    errors: Annotated[float, typer.Option(min=0, max=0.5, help="植入错误的比例")] = 0.01,
    profile: Annotated[str, typer.Option(help="normal 或 stress（差评率 2%）")] = "normal",
    replace: Annotated[bool, typer.Option("--replace", help="目录里已有另一座样例城市时删除并替换它")] = False,
    home: Home = None,
) -> None:
    """生成样例城市的数据。"""
    from pipelines.sample.service import check_cases, write_sample
    from pipelines.sources.service import run_lock

    settings, last = settings_of(home), day_of(until)
    check_cases(cases)
    console = Console(file=sys.stderr)  # pinned: a run sends what others print to its log
    with run_lock(settings), Bars(console) as bars:
        summary = write_sample(
            settings.home, cases=cases, until=last, seed=seed, errors=errors, profile=profile, progress=bars, replace=replace
        )
    Console().print(f"样例城市：{sum(summary.rows.values()):,} 行，植入错误 {sum(summary.planted.values()):,} 处，位于 {settings.home / 'sample'}", soft_wrap=True)


@app.command()
@reports_errors
def sync(sources: Sources = None, home: Home = None) -> None:
    """只同步数据源，不加工。"""
    from pipelines.run.syncing import sync_only
    from serving.cli.tables import print_drift, sync_table

    with Bars(Console(file=sys.stderr)) as bars:
        counts = sync_only(settings_of(home), sources, bars)
    out = Console(highlight=False)
    out.print(sync_table([vars(count) for count in counts]))
    unmapped, missing = ([(count.source, count.subject, column) for count in counts for column in getattr(count, of)] for of in ("unmapped", "missing"))
    print_drift(out, unmapped, missing)


@app.command()
@reports_errors
def run(
    sources: Sources = None, as_of: AsOf = None,
    known: Annotated[str, typer.Option(help="与 --as-of 合用。then：该日已发布过则按当时所知重算；now：一律按现在所知计算")] = "then",
    publish: Annotated[bool, typer.Option("--publish", help="与 --as-of 合用：把过去某日的结果发布为当前快照；不加则过去的日子只存放在 history 下")] = False,
    home: Home = None,
) -> None:
    """运行全流程：同步、加工、检查、评分、发布、报告；--as-of 为已发布过的过去某日时，按当时所知重算并与发布的结果核对，当前快照不变。"""
    settings = settings_of(home)
    console = Console(file=sys.stderr)  # pinned: a run sends what others print to its log
    instant = instant_of(as_of, settings.zone) if as_of else None
    if known not in ("then", "now"):
        raise YiwangError("YW-SERVE-005", name="--known", detail="只能是 then 或 now")
    with console.status("正在启动…"):
        from pipelines.replay.service import Reproduction, past_day
        from pipelines.run.service import run as run_job
        from pipelines.upkeep.freshness import AHEAD, ahead
        from serving.cli.history import print_day, print_reproduction
        from serving.cli.tables import print_drift, print_status
    out = Console(highlight=False)
    with Bars(console) as bars:
        past = past_day(settings, instant, sources, bars, known, publish) if instant else None
    if isinstance(past, Reproduction):
        print_reproduction(out, past, publish)
        raise typer.Exit(0 if past.verdict.is_same else 1)
    if past:
        print_day(out, past, known)
        raise typer.Exit
    with Bars(console) as bars:
        result = run_job(settings, sources, instant, bars)
    if instant:
        out.print("按现在所知计算" + ("。" if known == "now" else "（这一天没有可重算的发布，或不早于已发布的最近一天）。"))
    print_status(settings, out, result.counts)
    if result.as_of > datetime.now(UTC) + AHEAD:
        out.print(f"  ! {ahead(result.as_of, settings)}：如非模拟数据，请检查本机时钟与来源的更新时间", soft_wrap=True)
    if result.is_unchanged:
        out.print("数据源没有变化，沿用已发布的快照。")
    print_drift(out, result.unmapped, result.missing)
    out.print(f"报告：{result.report}", soft_wrap=True)
    yiwang, where = command_line(settings)
    out.print(f"下一步：YIWANG_DEV=1 {yiwang} serve{where} 打开页面与接口，或", soft_wrap=True, markup=False)
    example = "select * from marts.fct_case limit 5"
    out.print(f'        {yiwang} sql{where} "{example}"', soft_wrap=True, markup=False)


@app.command()
@reports_errors
def backfill(
    first: Annotated[str, typer.Option("--from", help="第一天，例如 2026-01-01")],
    last: Annotated[str, typer.Option("--to", help="最后一天")],
    every: Annotated[str, typer.Option(help="day：每天；month：每月最后一天和 --to 那天")] = "day",
    known: Annotated[str, typer.Option(help="then：发布过的日子按当时所知；now：一律按现在所知")] = "then",
    sources: Sources = None, home: Home = None,
) -> None:
    """逐日补算集市和得分，存放在数据目录的 history 下；中断后再次运行只补未完成的日子。"""
    settings, console = settings_of(home), Console(stderr=True)
    if known not in ("then", "now"):
        raise YiwangError("YW-SERVE-005", name="--known", detail="只能是 then 或 now")
    with console.status("正在启动…"):
        from pipelines.replay.service import backfill as fill
        from pipelines.replay.service import each
        from serving.cli.history import print_days
    days = each(day_of(first), day_of(last), every)
    with Bars(console) as bars:
        kept = fill(settings, days, sources, bars, known)
    print_days(Console(highlight=False), kept)


@app.command()
@reports_errors
def status(home: Home = None) -> None:
    """查看最近一次发布：同步、检查、得分。"""
    from serving.cli.tables import print_status
    from serving.cli.upkeep import print_freshness

    settings, console = settings_of(home), Console()
    print_status(settings, console)
    print_freshness(settings, console)


@app.command()
@reports_errors
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="以 JSON 输出，供程序读取")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="超过 1 GiB 的工作文件与快照也逐块读取")] = False,
    sources: Sources = None, home: Home = None,
) -> None:
    """检查环境、文件、锁、版本和数据，并说明如何处理；有错误时退出码为 1。"""
    from pipelines.upkeep.doctor.service import examine
    from serving.cli.upkeep import print_findings, write_findings

    findings = examine(settings_of(home), datetime.now(UTC), sources, deep=deep)
    if as_json:
        write_findings(findings, sys.stdout)
    else:
        print_findings(findings, Console())
    raise typer.Exit(int(any(finding.state == "error" for finding in findings)))


@app.command()
@reports_errors
def tidy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只说明会清理什么，不作改动")] = False, sources: Sources = None, home: Home = None,
) -> None:
    """清理过期的运行账、日志和遗留文件，并压缩工作文件。"""
    from pipelines.upkeep.tidy import tidy as tidy_up
    from serving.cli.upkeep import print_tidied

    print_tidied(tidy_up(settings_of(home), datetime.now(UTC), sources, dry_run), Console(), dry_run)


@app.command()
@reports_errors
def serve(
    host: Annotated[str | None, typer.Option(help="监听地址，默认 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="端口，默认 8000")] = None,
    worker: Annotated[bool, typer.Option(help="同时启动后台程序；另行运行 yiwang worker 时用 --no-worker")] = True,
    processes: Annotated[int | None, typer.Option(min=1, max=64, help="只启动接口、不含页面，由几个进程分担；页面另用一个不带此项的 yiwang serve")] = None,
    home: Home = None,
) -> None:
    """启动接口与页面，以及旁边的后台程序。"""
    from serving.app import serve as serve_app
    from serving.cli.worker import beside

    console = Console(stderr=True, highlight=False)
    settings = settings_of(home, host=host, port=port)
    if processes is not None:  # they read their settings themselves
        os.environ |= {"YIWANG_HOME": str(settings.home), "YIWANG_HOST": settings.host, "YIWANG_PORT": str(settings.port)}
    with beside(settings, worker):
        serve_app(settings, lambda address: console.print(f"一网已启动：{address}（按 Ctrl+C 结束）", soft_wrap=True), processes)


@app.command()
@reports_errors
def sql(
    query: Annotated[str, typer.Argument(help="一条只读查询，例如 select count(*) from marts.fct_case")],
    format: Annotated[str, typer.Option("--format", help="csv 或 json")] = "csv",
    home: Home = None,
) -> None:
    """对已发布的集市做只读查询。"""
    from models.store.warehouse import query as read
    from serving.cli.tables import write_rows

    if format not in ("csv", "json"):
        raise YiwangError("YW-SERVE-005", name="--format", detail="只能是 csv 或 json")
    try:
        write_rows(read(settings_of(home), query), format, sys.stdout)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def command_line(settings: Settings) -> tuple[str, str]:
    """How to call this command again from here: the command, and the option that names the home where it is not the default."""
    command = Path(sys.argv[0])
    if command.is_absolute() and command.is_relative_to(Path.cwd()):
        command = command.relative_to(Path.cwd())
    default = Settings.model_fields["home"].default
    return str(command), "" if settings.home == default else f" --home {settings.home}"


def settings_of(home: Path | None, **overrides: Any) -> Settings:
    """The settings, with what the command line says on top."""
    if home is not None:
        os.environ["YIWANG_HOME"] = str(home)
        get_settings.cache_clear()
    chosen = {name: value for name, value in overrides.items() if value is not None}
    return get_settings().model_copy(update=chosen) if chosen else get_settings()


def day_of(text: str) -> date:
    """A day as people type it.

    Raises:
        YiwangError: YW-DOMAIN-001.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise YiwangError("YW-DOMAIN-001", value=text) from None
    if day.year > 9000:  # arithmetic on days must not leave the calendar
        raise YiwangError("YW-DOMAIN-001", value=text)
    return day


def instant_of(text: str, zone: str) -> datetime:
    """An instant as people type it; a day is its last moment in ``zone``.

    Raises:
        YiwangError: YW-DOMAIN-001.
    """
    if len(text) <= 10:
        midnight = datetime.combine(day_of(text) + timedelta(days=1), time(), ZoneInfo(zone))
        return midnight - timedelta(microseconds=1)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise YiwangError("YW-DOMAIN-001", value=text) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=ZoneInfo(zone))
