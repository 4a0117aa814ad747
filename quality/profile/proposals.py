"""Rules that the data itself offers: which candidates hold of nearly all rows, by more than chance, and are said by no rule yet."""

# ruff: noqa: S608 - names come from the database's own catalogue

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import yaml

from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from quality.catalogue.model import Rule
from quality.catalogue.subjects import TABLES
from quality.profile.candidates import Candidate, candidates
from quality.profile.columns import fields, profile_columns

STAGE = "寻找规则"
SUPPORT = 0.98
"""Least share of the rows that a proposal holds of; the lower end of its 95 % interval must reach it, so that few rows prove nothing."""
CAUGHT = 0.8
"""Share of broken rows from which on a rule that finds them is taken to say it already."""
TRIED = 200
"""Rows that are broken to see whether a rule says it already."""
_Z = 1.96


@dataclass(frozen=True)
class Proposal:
    """A rule that the data offers.

    Attributes:
        entry: As a file of rules has it.
        rows: Rows that it was asked of.
        failed: Rows that break it.
    """

    entry: dict[str, Any]
    rows: int
    failed: int

    @property
    def support(self) -> float:
        """Share of the rows of which it holds."""
        return 1 - self.failed / self.rows


def propose(
    connection: duckdb.DuckDBPyConnection, table: str, rules: Sequence[Rule], support: float = SUPPORT, progress: Progress | None = None,
) -> list[Proposal]:  # fmt: skip
    """What might be a rule of a mart and is none yet, column by column.

    Args:
        connection: Has the marts, and may make temporary tables.
        table: The mart, one that rules can check.
        rules: The rules that there are.
        support: Least share of the rows that it must hold of.
        progress: Receiver of progress; stage :data:`STAGE`.

    Raises:
        YiwangError: YW-QUALITY-006 where there is no such mart, or no rule can check it.
    """
    progress = progress or NoProgress()
    known = fields(connection)
    if table not in known or table not in TABLES:
        raise YiwangError("YW-QUALITY-006", table=table, known="、".join(name for name in TABLES if name in known) or "（无）")
    progress.start(STAGE)
    profile, look = profile_columns(connection, table, known[table])
    tried = candidates(connection, table, known[table], profile, look)
    own = [rule for rule in rules if rule.table == table]
    held = [(one, *counts) for one, counts in zip(tried, _counted(connection, table, tried), strict=True) if _bound(*counts) >= support]
    new = [(one, rows, failed) for one, rows, failed in _reduced(held) if not _is_said(connection, table, one, own)]
    progress.finish(STAGE, f"{len(new)} 条")
    order = {one.name: at for at, one in enumerate(known[table])}
    return [Proposal(_entry(table, *found), found[1], found[2]) for found in sorted(new, key=lambda found: (order[found[0].columns[0]], found[0].name))]


def as_yaml(table: str, proposals: Sequence[Proposal]) -> str:
    """The proposals as a file of rules, each below a comment with its support."""
    head = f"# {table}：由数据提出的规则，{len(proposals)} 条。逐条核对依据后改写 standard、clause、message，放入规则目录（文件名即主题）。\n"
    parts = []
    for one in proposals:
        said = f"# 支持度 {_share(one)}：{one.rows:,} 行中 {one.failed:,} 行不符\n"
        parts.append(said + yaml.safe_dump([one.entry], allow_unicode=True, sort_keys=False, width=160))
    return head + ("\n".join(parts) or "[]\n")


def _entry(table: str, one: Candidate, rows: int, failed: int) -> dict[str, Any]:
    proposal = Proposal({}, rows, failed)
    subject = TABLES[table].subject
    entry = {
        "id": f"suggested_{subject}_{one.columns[0]}_{one.name}", "table": table, "field": one.columns[0], "dimension": one.dimension, "severity": "advises",
        "standard": "数据画像", "clause": f"支持度 {_share(proposal)}", **one.way, "message": one.message,
    }  # fmt: skip
    if "unique" in one.way:
        del entry["field"]
    return entry


def _share(one: Proposal) -> str:
    # never all where it is not
    return "100%" if not one.failed else f"{math.floor(one.support * 10_000) / 100:.2f}%"


def _counted(connection: duckdb.DuckDBPyConnection, table: str, tried: Sequence[Candidate]) -> list[tuple[int, int]]:
    """Rows that each is asked of and that break it; those within a row in one scan."""
    counts: dict[int, tuple[int, int]] = {}
    plain = [at for at, one in enumerate(tried) if " OVER " not in one.applies]
    for start in range(0, len(plain), 100):
        some = plain[start : start + 100]
        parts = ", ".join(f"count(*) FILTER ({tried[at].applies}), count(*) FILTER (({tried[at].applies}) AND ({tried[at].fails}))" for at in some)
        row = connection.execute(f"SELECT {parts} FROM marts.{table} AS t").fetchall()[0]
        counts |= {at: (int(row[2 * place]), int(row[2 * place + 1])) for place, at in enumerate(some)}
    for at in set(range(len(tried))) - set(plain):
        query = f"SELECT count(*), count(*) FILTER (fails) FROM (SELECT {tried[at].applies} AS applies, {tried[at].fails} AS fails FROM marts.{table} AS t) WHERE applies"
        row = connection.execute(query).fetchall()[0]
        counts[at] = int(row[0]), int(row[1])
    return [counts[at] for at in range(len(tried))]


def _bound(rows: int, failed: int) -> float:
    """Lower end of Wilson's 95 % interval of the share that holds."""
    if not rows:
        return 0.0
    share, square = 1 - failed / rows, _Z * _Z
    middle = share + square / (2 * rows)
    return (middle - _Z * math.sqrt(share * (1 - share) / rows + square / (4 * rows * rows))) / (1 + square / rows)


def _reduced(held: list[tuple[Candidate, int, int]]) -> list[tuple[Candidate, int, int]]:
    """Leaves out what others say better: of a ≤ b ≤ c that a ≤ c; of columns that are equal, order; of values that a mart names, their list or format."""
    orders = {one.columns: (one, rows, failed) for one, rows, failed in held if one.name == "order"}
    named = {one.columns[0] for one, _, _ in held if one.name.startswith("in_")}
    kept = [found for found in held if found[0].name != "order" and not (found[0].name in ("codes", "format") and found[0].columns[0] in named)]
    for (first, second), found in orders.items():
        between = any((first, other) in orders and (other, second) in orders for other in {name for pair in orders for name in pair} - {first, second})
        if (second, first) not in orders and not between:
            kept.append(found)
    return kept


def _is_said(connection: duckdb.DuckDBPyConnection, table: str, one: Candidate, rules: Sequence[Rule]) -> bool:
    """Whether rows that are broken in just this way are found by the rules that there are."""
    if "unique" in one.way:
        return any(set(rule.unique or ()) <= {*one.columns, "source"} for rule in rules if rule.unique)
    speaking = [rule.condition for rule in rules if not rule.unique and any(re.search(rf"\b{name}\b", rule.condition) for name in one.columns[:1])]
    if not speaking:
        return False
    column = '"' + one.columns[0] + '"'
    applies = "true" if " OVER " in one.applies else one.applies
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _sound AS SELECT * FROM _sample AS t WHERE {applies} LIMIT {TRIED}")
    known = " OR ".join(f"coalesce(({condition}\n), false)" for condition in speaking)
    # rows of which a rule speaks before they are broken tell nothing
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _broken AS SELECT * REPLACE ({one.broken} AS {column}) FROM _sound AS t WHERE NOT ({known})")
    try:
        tried, caught = connection.execute(f"SELECT count(*), count(*) FILTER ({known}) FROM _broken AS t").fetchall()[0]
    except duckdb.Error:  # a value that the rule cannot even read: it does not say this
        return False
    return bool(tried) and caught >= CAUGHT * tried
