"""``yiwang audit`` and ``yiwang store``: upkeep of the operational database that people ask for by hand.

``audit verify`` ends with exit code 1 where something is found, 2 where it could not look.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.domain.errors import YiwangError
from models.domain.settings import Settings, get_settings
from serving.cli.progress import Bars

app = typer.Typer(no_args_is_help=True, help="审计记录：封存与核查。")
store = typer.Typer(no_args_is_help=True, help="业务数据库：更换密钥、恢复之后的处理。")
Home = Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")]
Heads = Annotated[Path | None, typer.Option("--heads", help="链头文件，默认取 YIWANG_AUDIT_HEADS 或数据目录下的 audit.heads")]


@app.command()
def verify(heads: Heads = None, home: Home = None) -> None:
    """核查审计记录：逐条重算并与库内、库外的链头核对，每个问题一行；有问题时退出码为 1。"""
    from models.core.audit.service import heads_of
    from models.core.audit.service import verify as findings
    from models.core.crypto.service import provider
    from models.store.operational.database import Database

    found = 0
    with settings_at(home) as settings:
        database = Database(settings)
        with Bars(Console(stderr=True)) as bars:
            for finding in findings(database, provider(settings), heads or heads_of(settings), datetime.now(UTC), progress=bars):
                found += 1
                Console().print(f"✗ {finding.sentence}", markup=False, highlight=False, soft_wrap=True)
        database.close()
    Console().print(f"发现 {found} 个问题。" if found else "审计记录完整，没有发现问题。", highlight=False)
    raise typer.Exit(1 if found else 0)


@app.command()
def seal(home: Home = None) -> None:
    """立即封存尚未封存的审计记录；平时由后台程序完成。"""
    from models.core.audit.service import heads_of
    from models.core.audit.service import seal as seal_some
    from models.core.crypto.service import provider
    from models.store.operational.database import Database

    with settings_at(home) as settings:
        database, crypto, sealed = Database(settings), provider(settings), 0
        while (some := seal_some(database, crypto, heads_of(settings), datetime.now(UTC))) > 0:
            sealed += some
        database.close()
        Console().print(f"已封存 {sealed} 条审计记录。", highlight=False)


@store.command()
def rotate(home: Home = None) -> None:
    """用 YIWANG_KEYS 的第一个密钥重新加密个人信息；可中断，再次运行即续做，期间业务照常。"""
    from models.core.crypto.service import provider, remaining
    from models.core.crypto.service import rotate as rotate_all
    from models.store.operational.database import Database

    with settings_at(home) as settings:
        database, crypto = Database(settings), provider(settings)
        with Bars(Console(stderr=True)) as bars:
            done = rotate_all(database, crypto, progress=bars)
        left = remaining(database, crypto)
        database.close()
    for place in done.failed:
        Console().print(f"✗ {place} 无法解密，保持原样。", markup=False, highlight=False, soft_wrap=True)
    Console().print(f"已重新加密 {done.changed} 个值，" + (f"还有 {left} 行使用旧密钥，请勿移除旧密钥。" if left else "旧密钥可以移除。"), highlight=False, soft_wrap=True)
    raise typer.Exit(1 if left else 0)


@store.command()
def rebase() -> None:
    """从逻辑备份恢复到另一台 PostgreSQL 之后运行：各订阅重新读取保留的消息。"""
    from models.core.outbox.service import rebase as read_again
    from models.store.operational.database import Database

    with settings_at(None) as settings:
        database = Database(settings)
        read_again(database)
        database.close()
    Console().print("已完成，各订阅将重新读取保留的消息。")


@contextmanager
def settings_at(home: Path | None) -> Iterator[Settings]:
    """The settings, and errors of ours as one line and exit code 2."""
    try:
        if home is not None:
            os.environ["YIWANG_HOME"] = str(home)
            get_settings.cache_clear()
        yield get_settings()
    except YiwangError as error:
        Console(stderr=True, highlight=False).print(f"[red]{error.code}[/red] {error.message}", soft_wrap=True)
        raise typer.Exit(2) from None
    except OSError as error:
        failed = YiwangError("YW-RUN-007", path=error.filename or "文件", detail=error.strerror or type(error).__name__)
        Console(stderr=True, highlight=False).print(f"[red]{failed.code}[/red] {failed.message}", soft_wrap=True)
        raise typer.Exit(2) from None
