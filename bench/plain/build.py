"""The marts of the sample city by one hand-written DuckDB script: what the pipeline is measured against.

    python -m bench.plain.build FILES TARGET.duckdb [--threads 2] [--memory 3GB]

One process, one connection, straight from the files to the marts: no framework, no books, no second run. It makes the
same tables as the pipeline publishes (``bench.equality`` compares them) for one source in Parquet files with the
columns of the contracts. The key of the identifier digests is ``YIWANG_DIGEST_KEY``.
What does not belong here: anything of ``pipelines`` or ``dbt``.
"""

import argparse
import os
import tempfile
from pathlib import Path

import duckdb

from models.domain import identifiers
from models.domain.calendar import calendar_table

SUBJECTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "region": ({"region_code": "区划代码"}, {}),
    "area_region": ({"area_code": "区域代码", "region_code": "区划代码", "valid_from": "划入日期"}, {}),
    "department": ({"department_code": "部门代码"}, {}),
    "window": ({"window_code": "窗口编号"}, {}),
    "matter": ({"matter_code": "实施编码", "version": "版本号"}, {}),
    "case": (
        {"case_number": "办件编号"},
        {
            "applicant_name": "mask_name", "applicant_id": "mask_identifier", "contact_name": "mask_name", "contact_id": "mask_identifier",
            "contact_phone": "mask_phone", "address": "mask_text", "legal_representative": "mask_name", "accepted_by": "mask_name",
            "completed_by": "mask_name", "result_description": "mask_text",
        },
    ),
    "case_event": (
        {"case_number": "办件编号", "sequence": "序号"},
        {"actor": "mask_name", "opinion": "mask_text", "special_reason": "mask_text", "special_result": "mask_text"},
    ),
    "certificate": (
        {"certificate_id": "电子证照标识"},
        {"holder_name": "mask_name", "holder_id": "mask_identifier", "issued_on": "shown", "valid_from": "shown", "valid_to": "shown"},
    ),
    "review": ({"review_id": "评价编号"}, {"reviewer_name": "mask_name", "comment": "mask_text"}),
}  # fmt: skip
"""Subject → its key columns with their titles, and the masks of columns that quarantine must not show."""
DAYS = {"issued_on": "发证日期", "valid_from": "有效期起", "valid_to": "有效期止"}
"""Columns of certificates that hold days as text."""
MACROS = {
    "digest": identifiers.sql_digest,
    "is_resident_id": identifiers.sql_is_resident_id,
    "is_credit_code": identifiers.sql_is_credit_code,
    "mask_identifier": identifiers.sql_mask_identifier,
    "mask_name": identifiers.sql_mask_name,
    "mask_phone": identifiers.sql_mask_phone,
    "mask_text": identifiers.sql_mask_text,
}


def build(files: Path, target: Path, threads: int = 2, memory: str = "3GB") -> None:
    """Make the marts.

    Args:
        files: Folder with one folder of Parquet files a subject.
        target: DuckDB file to write; it must not be there.
        threads: DuckDB threads.
        memory: DuckDB's memory limit.
    """
    target = target.resolve()
    with tempfile.TemporaryDirectory(dir=target.parent) as spill, duckdb.connect(str(target)) as connection:
        os.chdir(files)  # the script names files by subject
        # one checkpoint at the end: a commit that checkpoints writes its rows in one thread
        settings = {
            "threads": threads, "memory_limit": memory, "temp_directory": spill, "preserve_insertion_order": False, "checkpoint_threshold": "1TB",
        }  # fmt: skip
        for name, value in settings.items():
            connection.execute(f"SET {name} = '{value}'")
        identifiers.set_digest_key(connection, os.environ["YIWANG_DIGEST_KEY"].encode())
        for name, expression in MACROS.items():
            connection.execute(f"CREATE TEMP MACRO {name}(t) AS {expression('t')}")
        connection.register("calendar", calendar_table())
        connection.execute("CREATE SCHEMA marts")
        for script in ("1_contracts.sql", "2_clock.sql", "3_marts.sql"):
            connection.execute((Path(__file__).parent / script).read_text(encoding="utf-8"))
        set_aside(connection)


def set_aside(connection: duckdb.DuckDBPyConnection) -> None:
    """Write ``marts.quarantine``: the rows that cannot be typed or keyed, with the reason and their masked content."""
    connection.execute("SET TimeZone = 'Asia/Shanghai'")
    connection.execute("CREATE TABLE marts.quarantine AS " + " UNION ALL ".join(_set_aside(connection, subject) for subject in SUBJECTS))


def _set_aside(connection: duckdb.DuckDBPyConnection, subject: str) -> str:
    keys, masks = SUBJECTS[subject]
    columns = [row[0] for row in connection.execute(f"DESCRIBE FROM '{subject}/*.parquet'").fetchall()]
    raw = ", ".join(f"'{column}': {masks.get(column, 'guarded')}(CAST({column} AS VARCHAR))" for column in columns)
    reasons, bad, rows = [], "false", ""
    if subject == "certificate":
        value = {column: f"not_long_term(clean({column}))" if column == "valid_to" else f"clean({column})" for column in DAYS}
        wrong = {column: f"({value[column]} IS NOT NULL AND day_in({value[column]}) IS NULL)" for column in DAYS}
        bad = " OR ".join(wrong.values())
        rows = "SEMI JOIN (FROM certificate_read WHERE is_bad OR certificate_id IS NULL) USING (file_index, file_row_number)"
        for column, title in DAYS.items():
            reasons.append(f"CASE WHEN {wrong[column]} THEN '{title}（{column}）的值“' || shown({value[column]}) || '”不是日期' END")
    key = {column: column if column in ("sequence", "valid_from") else f"clean({column})" for column in keys}
    reasons += [f"CASE WHEN {key[column]} IS NULL THEN '主键{title}（{column}）为空' END" for column, title in keys.items()]
    unkeyed = " OR ".join(f"{value} IS NULL" for value in key.values())
    return f"""
        SELECT 'sample' AS source, '{subject}' AS subject, nullif(concat_ws('/', {', '.join(key.values())}), '') AS record_key,
            CASE WHEN {bad} THEN 'not_typed' ELSE 'no_key' END AS reason_code, concat_ws('；', {', '.join(reasons)}) AS reason,
            CAST(to_json({{{raw}}}) AS VARCHAR) AS raw, 'sample/' || filename AS file, file_row_number + 1 AS file_row
        FROM (SELECT *, filename, file_index, file_row_number FROM '{subject}/*.parquet') {rows} WHERE {bad} OR {unkeyed}
    """  # noqa: S608 - names come from the tables above


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="手写脚本：由样例文件直接生成集市")
    parser.add_argument("files", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="3GB")
    chosen = parser.parse_args()
    build(chosen.files, chosen.target, chosen.threads, chosen.memory)


if __name__ == "__main__":
    main()
