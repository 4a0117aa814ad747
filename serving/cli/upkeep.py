"""What ``yiwang doctor``, ``yiwang tidy`` and ``yiwang status`` print of a home's upkeep."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from models.domain.contracts import SUBJECT_TITLES
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.upkeep.doctor.types import Finding
from pipelines.upkeep.freshness import freshness
from pipelines.upkeep.tidy import Tidied

_MARKS = {"ok": "[green]✓[/green]", "warn": "[yellow]![/yellow]", "error": "[red]✗[/red]"}


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """One line a finding, and what to do about it."""
    for finding in findings:
        console.print(f"{_MARKS[finding.state]} {finding.check:<11} ", end="")
        console.print(finding.sentence, markup=False, highlight=False, soft_wrap=True)
        if finding.remedy:
            console.print(f"  → {finding.remedy}", markup=False, highlight=False, soft_wrap=True)
    numbers = {state: sum(finding.state == state for finding in findings) for state in _MARKS}
    console.print(f"正常 {numbers['ok']} 项，提醒 {numbers['warn']} 项，错误 {numbers['error']} 项", highlight=False)


def write_findings(findings: Sequence[Finding], out: TextIO) -> None:
    """One JSON array of objects: check, state, sentence, remedy."""
    out.write(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1) + "\n")


def print_tidied(tidied: Tidied, console: Console, dry_run: bool) -> None:
    """What was removed, or would be."""
    verb = "将清理" if dry_run else "已清理"
    for title, number in tidied.rows.items():
        if number:
            console.print(f"{verb} {title} {number:,} 行", highlight=False)
    for title, (number, size) in tidied.files.items():
        if number:
            console.print(f"{verb} {title} {number:,} 项，{_size(size)}", highlight=False)
    for one in tidied.compactions:
        done = one.skipped or f"{'将压缩到约' if dry_run else '压缩为'} {_size(one.after)}（原 {_size(one.before)}）"
        console.print(f"{one.path.name}：{done}", highlight=False)
    console.print(f"共{'可' if dry_run else ''}释放 {_size(tidied.freed)}", highlight=False)


def print_freshness(settings: Settings, console: Console, sources: Path | None = None) -> None:
    """Newest record and last sync of each source, and whether it is late; nothing where the snapshot cannot say."""
    try:
        judged = freshness(settings, datetime.now(UTC), sources)
    except YiwangError:
        return
    table = Table(title="数据源是否及时", title_justify="left")
    for title in ("数据源", "主题", "最新记录", "距今", "最近同步", "状态", "依据"):
        table.add_column(title)
    for one in judged:
        state = {True: "逾期", False: "及时", None: "—"}[one.is_stale]
        age = "—" if one.age is None else f"{max(0, one.age.days)} 天"
        moments = _moment(one.newest_at, settings), age, _moment(one.last_checked_at, settings)
        table.add_row(one.source, SUBJECT_TITLES[one.subject], *moments, state, one.reason)
    console.print(table)


def _moment(instant: datetime | None, settings: Settings) -> str:
    return f"{instant.astimezone(ZoneInfo(settings.zone)):%Y-%m-%d %H:%M}" if instant else "—"


def _size(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
