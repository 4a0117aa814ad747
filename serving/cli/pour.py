"""``yiwang pour``: the sample city into the operational store."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from serving.cli.audit import settings_at
from serving.cli.progress import Bars

Home = Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")]


def pour(
    beside: Annotated[bool, typer.Option("--beside", help="业务数据库里已有其他办件时也灌入")] = False,
    home: Home = None,
) -> None:
    """把数据目录中的样例城市灌入业务数据库，供页面、接口和压力测试使用；中断后再次运行即续灌。"""
    from pipelines.pouring.service import pour as pour_city

    with settings_at(home) as settings, Bars(Console(stderr=True)) as bars:
        poured = pour_city(settings, beside=beside, progress=bars)
    for table, rows in poured.rows.items():
        Console().print(f"{table}\t{rows:,}", highlight=False)
    Console().print(f"其中在办 {poured.open_cases:,} 件，可以继续办理。", highlight=False)
