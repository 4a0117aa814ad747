"""The door of the doctor, and the registry of its checks."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from models.domain.settings import Settings
from pipelines.upkeep.doctor import files, machine, state
from pipelines.upkeep.doctor.background import background
from pipelines.upkeep.doctor.types import Check, Finding, Look

CHECKS: dict[str, Check] = {
    "python": machine.python, "packages": machine.packages, "processors": machine.processors, "memory": machine.memory, "disk": machine.disk,
    "home": files.home, "private": files.private, "sources": files.sources, "lock": files.lock,
    "warehouse": state.warehouse, "version": state.version, "digest_key": state.digest_key, "clock": state.clock,
    "last_run": state.last_run, "blocks": state.blocks, "leftovers": files.leftovers, "snapshot": state.snapshot,
    "freshness": state.freshness_of_sources, "calendar": state.calendar, "alerts": files.alerts, "store_keys": files.store_keys,
    "background": background,
}  # fmt: skip
"""Name → check, in the order in which people read them."""
IN_WAREHOUSE = ("warehouse", "version", "digest_key", "clock", "last_run")
"""Checks that open the warehouse, which its writer locks."""


def examine(settings: Settings, now: datetime, sources: Path | None = None, checks: Iterable[str] = tuple(CHECKS), deep: bool = False) -> list[Finding]:
    """Everything that the doctor finds; at least one finding for each check. Changes nothing.

    Args:
        settings: Home and settings.
        now: The moment of the examination.
        sources: Source configuration, ``sources.yml`` of the home when None.
        checks: Only these.
        deep: Read files through however large they are.
    """
    look = Look(settings, sources or settings.home / "sources.yml", now, deep)
    return [finding for name in checks for finding in _ask(name, look)]


def _ask(name: str, look: Look) -> Iterator[Finding]:
    if name in IN_WAREHOUSE and look.holder is not None:
        yield Finding(name, "ok", "运行进行中，未检查工作文件")
        return
    if name in IN_WAREHOUSE[1:] and not look.can_open:
        yield Finding(name, "warn", "工作文件打不开，未检查", "请先处理“warehouse”一项。")
        return
    try:
        for says in CHECKS[name](look):
            yield Finding(name, *says)
    except Exception as error:  # a check that fails has found something, and the others go on
        yield Finding(name, "error", f"检查没有完成（{type(error).__name__}）", "请先处理其他问题后再次执行 yiwang doctor。")
