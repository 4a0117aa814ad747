"""Writes the files of a package and the lists of records held back: JSON Lines and XLSX, from tables of the connection."""

# ruff: noqa: S608 - names are ours or of the contracts

import re
from pathlib import Path

import duckdb

from models.domain.progress import Progress
from quality.reporting.items import Subject
from quality.reporting.manifest import FileEntry, sm3_of
from quality.reporting.selection import ACTIONS, one
from quality.reporting.workbook import LIMIT, write_workbook

STAGES = ("写 JSON Lines", "写 XLSX", "写未上报清单")
UNKNOWN = "unknown"
"""Name of the list of records whose department is not in the list of departments."""
_SAFE = re.compile(r"[A-Za-z0-9_-]{1,64}")
HELD_COLUMNS = {
    "source": "VARCHAR", "record_key": "VARCHAR", "day": "DATE", "department_code": "VARCHAR", "department_name": "VARCHAR", "rule_id": "VARCHAR",
    "rule": "VARCHAR", "field": "VARCHAR", "value": "VARCHAR", "message": "VARCHAR", "is_first": "BOOLEAN", "is_reported": "BOOLEAN",
}  # fmt: skip
"""Column of a list of records held back → its type."""
_REASON_TITLES = ("数据来源", "主键", "日期", "部门", "规则", "字段", "值", "说明", "计入", "已报旧版")


def write_package(connection: duckdb.DuckDBPyConnection, subject: Subject, folder: Path, progress: Progress, sheet_rows: int = LIMIT) -> list[FileEntry]:
    """Writes the lines of the table ``line`` (action, source, items) as JSON Lines and as workbooks of ``sheet_rows`` rows at most.

    Returns:
        The files, with what a manifest says of them.
    """
    folder.mkdir(parents=True)
    total = one(connection, "SELECT count(*) FROM line")
    path = folder / f"{subject.name}.jsonl"
    progress.start(STAGES[0])
    connection.execute(f"COPY line TO '{_quoted(path)}' (FORMAT json)")
    progress.finish(STAGES[0], f"{total:,} 行")
    made = [FileEntry(name=path.name, bytes=path.stat().st_size, sm3=sm3_of(path), rows=total)]
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE line").fetchall()}
    actions = "CASE action " + " ".join(f"WHEN '{action}' THEN '{title}'" for action, title in ACTIONS.items()) + " END"
    shown = ", ".join([actions, "source", *(_shown(item.field, types[item.field]) for item in subject.sent)])
    titles = ["上报类型", "数据来源", *(item.title for item in subject.sent)]
    part = sheet_rows - 1
    progress.start(STAGES[1], total)
    for number in range(max(1, -(-total // part))):
        # rows of a table made in one statement are numbered in its order
        query = f"SELECT {shown} FROM line WHERE rowid >= {number * part} AND rowid < {(number + 1) * part} ORDER BY rowid"
        path = folder / f"{subject.name}-{number + 1:03d}.xlsx"
        rows = write_workbook(connection, query if total > part else f"SELECT {shown} FROM line", titles, subject.title, path)
        made.append(FileEntry(name=path.name, bytes=path.stat().st_size, sm3=sm3_of(path), rows=rows))
        progress.advance(STAGES[1], rows)
    progress.finish(STAGES[1], f"{len(made) - 1} 个文件")
    return made


def write_held(connection: duckdb.DuckDBPyConnection, subject: Subject, folder: Path, progress: Progress, sheet_rows: int = LIMIT) -> int:
    """Writes the records of the table ``held_reason`` as a list a department; values are masked as the ledger of violations has them.

    Returns:
        Number of lines, one a reason of a record.
    """
    folder.mkdir(parents=True)
    known = connection.execute("SELECT DISTINCT department_code FROM marts.dim_department").fetchall()
    codes = [row[0] for row in known if row[0] and _SAFE.fullmatch(row[0]) and row[0] != UNKNOWN]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE list_line AS SELECT CASE WHEN list_contains($codes, department_code) THEN department_code ELSE '{UNKNOWN}' END AS list, "
        "* FROM held_reason ORDER BY list, source, record_key, place, rule_id", {"codes": codes},
    )  # fmt: skip
    lists = [row[0] for row in connection.execute("SELECT DISTINCT list FROM list_line ORDER BY 1").fetchall()]
    progress.start(STAGES[2], len(lists))
    part = sheet_rows - 1
    total = 0
    for name in lists:
        chosen = f"FROM list_line WHERE list = '{name}'"
        connection.execute(f"COPY (SELECT {', '.join(HELD_COLUMNS)} {chosen}) TO '{_quoted(folder / name)}.jsonl' (FORMAT json)")
        rows = one(connection, f"SELECT count(*) {chosen}")
        shown = "source, record_key, day, coalesce(department_name, department_code), rule, field, value, message, CASE WHEN is_first THEN '是' ELSE '' END, CASE WHEN is_reported THEN '是' ELSE '' END"
        for number in range(max(1, -(-rows // part))):
            suffix = f"-{number + 1:03d}" if rows > part else ""
            limits = f"ORDER BY rowid LIMIT {part} OFFSET {number * part}" if rows > part else ""
            write_workbook(connection, f"SELECT {shown} {chosen} {limits}", _REASON_TITLES, f"{subject.title}未上报", folder / f"{name}{suffix}.xlsx")
        total += rows
        progress.advance(STAGES[2])
    progress.finish(STAGES[2], f"{len(lists)} 个部门")
    return total


def _shown(field: str, kind: str) -> str:
    return f"CASE WHEN {field} THEN '是' WHEN NOT {field} THEN '否' END" if kind == "BOOLEAN" else field


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", "''")
