"""``yiwang staff``: how the first administrators come into being."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from serving.cli.audit import settings_at

app = typer.Typer(no_args_is_help=True, help="人员：设置首位系统、安全、审计管理员；其余由管理员在页面或接口上维护。")
Home = Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")]


@app.callback()
def staff() -> None:
    """人员。"""


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="姓名")],
    account: Annotated[str, typer.Option(help="统一身份认证中的账号")],
    role: Annotated[str, typer.Option(help="system_administrator、security_administrator 或 audit_administrator")],
    unit: Annotated[str, typer.Option(help="所属机构代码；没有时建立")] = "OFFICE",
    home: Home = None,
) -> None:
    """设置首位管理员；该角色已有人担任时拒绝。三个角色须由三个人担任。"""
    from models.core.crypto.service import encrypting, provider
    from models.core.organisation.staff import bootstrap
    from models.core.work.service import Actor, work
    from models.store.operational.database import Database
    from models.store.operational.migration import upgrade

    with settings_at(home) as settings:
        database = Database(settings)
        upgrade(database, encrypting(provider(settings)))
        with work(database, Actor("console", frozenset(), authority="console"), datetime.now(UTC)) as now:
            person = bootstrap(now, provider(settings), account, name, unit, role)
        database.close()
    Console().print(f"{name}（{account}）已是 {role}，标识 {person.id}。", highlight=False, soft_wrap=True)
