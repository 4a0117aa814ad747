"""The tables of the reporting ledger, and whether they are whole.

What was lost from the ledger would go out again as new, so nothing of it is ever made anew beside packages: it is refused with
what to do. Every column is read before anybody relies on it: DuckDB checks the digest of each block that it reads.
"""

# ruff: noqa: S608 - names are ours

from collections.abc import Iterable
from pathlib import Path

import duckdb

from models.domain.errors import YiwangError

TABLES: dict[str, str] = {
    "package": """number VARCHAR, subject VARCHAR, kind VARCHAR, first DATE, last DATE, run_id VARCHAR, as_of TIMESTAMP WITH TIME ZONE,
        built_at TIMESTAMP WITH TIME ZONE, rows BIGINT, held BIGINT, manifest_sm3 VARCHAR""",
    "reported": """subject VARCHAR, source VARCHAR, record_key VARCHAR, key VARCHAR[], day DATE, digest BLOB, state VARCHAR, package VARCHAR""",
    "reconciliation": "package VARCHAR, line VARCHAR, rule_id VARCHAR, rows BIGINT",
}
"""Table → its columns.

``package``: the packages. ``reported``: the last version of each record that was reported, and the package that brought it.
``reconciliation``: where the rows of the source were, a line each, and :data:`KNOWN` for every package.
"""
KNOWN = "in_ledger"
"""Line of a package in ``reconciliation``: records of its subject that the ledger had after it."""
_CONTRADICTIONS = (
    ("少了上报包 {}", """
        SELECT subject || printf('-%06d', place) FROM (
            SELECT subject, number, row_number() OVER (PARTITION BY subject ORDER BY length(number), number) AS place FROM ledger.package)
        WHERE number <> subject || printf('-%06d', place)
        UNION SELECT package FROM ledger.reported ANTI JOIN (SELECT number AS package FROM ledger.package) USING (package)"""),
    # records move on to later packages, so that only of the last one all must be there
    ("上报包 {} 的记录不全", """
        SELECT p.number FROM ledger.package AS p LEFT JOIN (SELECT package, count(*) AS rows FROM ledger.reported GROUP BY 1) AS r ON r.package = p.number
        WHERE coalesce(r.rows, 0) > p.rows
            OR coalesce(r.rows, 0) < p.rows AND p.number IN (SELECT arg_max(number, (length(number), number)) FROM ledger.package GROUP BY subject)"""),
    ("截至上报包 {} 的记录不全", f"""
        SELECT l.number FROM (SELECT subject, arg_max(number, (length(number), number)) AS number FROM ledger.package GROUP BY 1) AS l
        JOIN ledger.reconciliation AS c ON c.package = l.number AND c.line = '{KNOWN}'
        LEFT JOIN (SELECT subject, count(*) AS rows FROM ledger.reported GROUP BY 1) AS r USING (subject) WHERE c.rows <> coalesce(r.rows, 0)"""),
    ("少了上报包 {} 的对账", "SELECT number FROM ledger.package WHERE kind = 'build' AND number NOT IN (SELECT package FROM ledger.reconciliation)"),
)  # fmt: skip
"""What is said → query of the packages of which it is so."""
_TWICE = "继续会重复上报"


def make_or_require(connection: duckdb.DuckDBPyConnection, path: Path, there: Iterable[str]) -> set[str]:
    """Makes the tables of a new ledger; requires those of any other to be whole.

    Args:
        connection: Has the ledger as ``ledger``.
        path: The ledger, as people are told of it.
        there: Numbers of the packages, and of the lists beside them, that are in place.

    Returns:
        The numbers of the packages that the ledger has.

    Raises:
        YiwangError: YW-REPORT-007 where it lost something, contradicts itself, is damaged, or older than the packages.
    """
    query = "SELECT table_name, list(column_name || ' ' || data_type) FROM duckdb_columns() WHERE database_name = 'ledger' GROUP BY 1"
    columns: dict[str, list[str]] = dict(connection.execute(query).fetchall())
    built = sorted(there)
    if not columns and not built:
        connection.begin()
        for table, made in TABLES.items():
            connection.execute(f"CREATE TABLE ledger.{table} ({made})")
        connection.commit()
        return set()
    for table, made in TABLES.items():
        if table not in columns:
            raise _refusal(path, f"台账缺少表 {table}，{_TWICE}")
        if lost := [column for column in " ".join(made.split()).split(", ") if column not in columns[table]]:
            raise _refusal(path, f"台账的表 {table} 缺少列 {lost[0].split()[0]}，或它的类型变了")
        connection.execute(f"SELECT bit_xor(hash({', '.join(column.split()[0] for column in made.split(','))})) FROM ledger.{table}").fetchall()
    numbers = {row[0] for row in connection.execute("SELECT number FROM ledger.package").fetchall()}
    if newer := [number for number in built if number not in numbers]:
        whole = "须把 reporting 目录整个换成最近一次的备份，不能只换台账"
        raise _refusal(path, f"台账比上报包旧，没有已建的 {'、'.join(newer[:3])}{'等' if len(newer) > 3 else ''}，{_TWICE}，{whole}")
    for said, contradiction in _CONTRADICTIONS:
        if found := connection.execute(f"SELECT min(number) FROM ({contradiction}) AS c (number)").fetchall()[0][0]:
            raise _refusal(path, f"台账{said.format(found)}，{_TWICE}")
    return numbers


def _refusal(path: Path, detail: str) -> YiwangError:
    return YiwangError("YW-REPORT-007", what=path, detail=detail)
