"""``yiwang sources``: check a ``sources.yml``, try a source, show what is configured. Nothing is changed.

With ``--json`` for programs: one object on stdout, errors included; the page of the configuration runs it so, in a
process of its own with ``--for-page``, which holds the file to what pages may name.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.domain.errors import YiwangError
from models.domain.settings import Settings, get_settings

app = typer.Typer(no_args_is_help=True, help="数据源配置：检查、试读、查看。")
File = Annotated[Path | None, typer.Option("--sources", help="数据源配置，默认取数据目录下的 sources.yml；- 为标准输入")]
Json = Annotated[bool, typer.Option("--json", help="输出 JSON")]
ForPage = Annotated[bool, typer.Option("--for-page", hidden=True, help="按页面的规则限制可读的目录、变量与地址")]
Home = Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")]
_MEMORY, _SECONDS, _FILE = 4 << 30, 60, 1 << 30
_SIDE_BY_SIDE = 3
"""Rows that are printed beside each other."""


@app.command()
def check(sources: File = None, as_json: Json = False, for_page: ForPage = False, home: Home = None) -> None:
    """检查数据源配置，列出每一处错误。"""
    from pipelines.configuration.service import check as find_faults

    def found() -> dict[str, Any]:
        settings, text, folder, current = _given(sources, home, for_page)
        return {"errors": find_faults(settings, text, folder, current)}

    answer = _run(found, as_json)
    if not as_json:
        for fault in answer["errors"]:
            Console(stderr=True, highlight=False).print(f"[red]✗[/red] {_plain(fault)}", soft_wrap=True)
        if not answer["errors"]:
            Console().print("配置没有错误。")
    raise typer.Exit(2 if answer["errors"] else 0)


@app.command("try")
def try_source(
    source: Annotated[str, typer.Option("--source", help="数据源名称")],
    subject: Annotated[str, typer.Option("--subject", help="数据主题")],
    rows: Annotated[int, typer.Option("--rows", min=1, max=200, help="最多读取的行数")] = 20,
    sources: File = None,
    as_json: Json = False,
    for_page: ForPage = False,
    home: Home = None,
) -> None:
    """试读一个数据源的前几行，不写入任何数据。"""
    from pipelines.configuration.service import attempt

    def found() -> dict[str, Any]:
        settings, text, folder, current = _given(sources, home, for_page)
        return attempt(settings, text, folder, source, subject, rows, current)

    answer = _run(found, as_json)
    if "errors" in answer:
        raise typer.Exit(2)
    if not as_json:
        _print_rows(answer)


@app.command()
def show(sources: File = None, as_json: Json = False, home: Home = None) -> None:
    """查看配置了哪些数据源；密码与令牌不显示。"""
    from pipelines.configuration.service import summary

    def found() -> dict[str, Any]:
        return {"sources": summary(_given(sources, home, False)[1])}

    answer = _run(found, as_json)
    if "errors" in answer:
        raise typer.Exit(2)
    if not as_json:
        table = Table()
        for title in ("数据源", "主题", "类型", "位置", "负责人", "映射字段"):
            table.add_column(title)
        for row in answer["sources"]:
            table.add_row(*(_plain(text) for text in (row["source"], row["title"] or row["subject"], row["kind"], row["location"], row["owner"] or "", str(row["mapped"]))))
        Console().print(table)


def _given(sources: Path | None, home: Path | None, for_page: bool) -> tuple[Settings, str, Path, str | None]:
    """Settings, the file's text, the folder of its locations, and for the page the text in service."""
    from serving.cli.main import settings_of

    if for_page:
        _confine()
    settings = settings_of(home) if home else get_settings()
    in_service = settings.home / "sources.yml"
    path = sources or in_service
    if str(path) == "-":
        text, folder = sys.stdin.buffer.read(), settings.home
    elif path.is_file():
        text, folder = path.read_bytes(), path.parent
    else:
        raise YiwangError("YW-SYNC-005", path=path)
    current = None
    if for_page:
        current = in_service.read_text(encoding="utf-8", errors="replace") if in_service.is_file() else ""
    try:
        return settings, text.decode("utf-8"), folder.resolve(), current
    except UnicodeDecodeError:
        raise YiwangError("YW-SYNC-001", path=path, detail="不是 UTF-8 编码的 YAML") from None


def _confine() -> None:
    """Hold this process to so much memory, processor time and file size that a bad file cannot hurt the server."""
    import resource

    for limit, most in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CPU, _SECONDS), (resource.RLIMIT_FSIZE, _FILE), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _run(read: Any, as_json: bool) -> dict[str, Any]:
    """What was found, or ``{"errors": […]}``; printed at once where it goes to a program."""
    try:
        answer: dict[str, Any] = read()
    except YiwangError as error:
        answer = {"errors": [error.message], "code": error.code}
        if not as_json:
            Console(stderr=True, highlight=False).print(f"[red]{error.code}[/red] {_plain(error.message)}", soft_wrap=True)
            raise typer.Exit(2) from None
    if as_json:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    return answer


def _print_rows(answer: dict[str, Any]) -> None:
    console = Console(highlight=False)
    rows = answer["rows"][:_SIDE_BY_SIDE]
    table = Table(title=f"{answer['source']}/{answer['subject']} 读到 {len(answer['rows'])} 行（已脱敏）", title_justify="left")
    table.add_column("字段")
    for number in range(1, len(rows) + 1):
        table.add_column(f"第 {number} 行")
    for field in answer["fields"]:  # there are more fields than a screen is wide
        table.add_row(f"{field['title']} {field['field']}", *(_plain(row[field["field"]] or "") for row in rows))
    console.print(table)
    if len(answer["rows"]) > len(rows):
        console.print(f"另有 {len(answer['rows']) - len(rows)} 行，用 --json 查看。")
    for row in answer["set_aside"]:
        console.print(f"  ! 隔离：{row['reason']}", soft_wrap=True, markup=False)
    for column in answer["unmapped"]:
        console.print(f"  ! 没有映射的列：{column}", soft_wrap=True, markup=False)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
