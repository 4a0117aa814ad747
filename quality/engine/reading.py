"""What a rule reads beside the row that it checks, told from its SQL: how far a change elsewhere reaches.

A rule is checked again where its own rows changed, and where something changed that its subqueries read. Nothing has to
be declared for that, so nothing can be declared wrongly: what is not recognised here counts as reading everything.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from quality.catalogue.subjects import TABLES

CASE_KEY = ("source", "case_number")
"""Columns that name the case to which a row of :data:`CASE_TABLES` belongs."""
CASE_TABLES = ("fct_case", "fct_case_event", "fct_certificate", "fct_review")
"""Marts whose rows each belong to one case and carry the number of the run that wrote them (``_run_seq``)."""
SCOPED = "scope_{table}"
"""Temporary table that holds the rows of a mart which belong to the cases in hand."""

FORMER = "former_{table}"
"""Temporary table of the same rows, or of an answer, as they were when the rules were evaluated last."""
_HOLDING = {"ANY": "SELECT DISTINCT * FROM ({})", "EXISTS": "SELECT 1 FROM ({}) LIMIT 1"}
"""Kind of subquery → what of its answer decides."""

Node = dict[str, Any]


@dataclass(frozen=True)
class Input:
    """A subquery that does not depend on the row.

    Attributes:
        sql: Query whose answer is to be held: each value once where values are compared, one row where rows are asked for.
        tables: Marts that it reads.
    """

    sql: str
    tables: frozenset[str]


@dataclass(frozen=True)
class Reading:
    """What a condition reads beside its row.

    Attributes:
        tables: Marts that its subqueries read.
        of_case: Those of which only rows of the row's own case decide.
        of_day: Those of which only the partition of the row's own day decides.
        inputs: Temporary table → the subquery whose answer it is to hold.
        is_open: It reads something else: whatever changes in :attr:`tables` may concern every row.
        whole: The condition, reading the tables of :attr:`inputs`.
        scoped: The same, and reading ``of_case`` from the tables :data:`SCOPED`.
        former: As ``whole``, with the answers in the tables :data:`FORMER`.
        former_scoped: As ``scoped``, with answers and rows in the tables :data:`FORMER`.
    """

    tables: frozenset[str]
    of_case: frozenset[str]
    of_day: frozenset[str]
    inputs: dict[str, Input]
    is_open: bool
    whole: str
    scoped: str
    former: str
    former_scoped: str


def reading_of(condition: str, table: str, connection: duckdb.DuckDBPyConnection) -> Reading:
    """What a condition over the rows ``t`` of a mart reads.

    Args:
        condition: SQL expression.
        table: The mart.
        connection: Has the marts; asked whether a subquery stands on its own, reads no row.
    """
    if "select" not in condition.lower():
        return Reading(frozenset(), frozenset(), frozenset(), {}, False, condition, condition, condition, condition)
    tree = _parsed(condition, connection)
    tables: set[str] = set()
    of_case: dict[str, list[Node]] = {}
    of_day: set[str] = set()
    inputs: dict[str, Input] = {}
    held_in: list[Node] = []
    is_open = False
    for subquery in _subqueries(tree):
        select = subquery["subquery"]["node"]
        names = {node["table_name"] for node in _nodes(select) if node.get("type") == "BASE_TABLE"}
        tables |= names
        if table in CASE_TABLES and _is_of_case(subquery):
            of_case.setdefault(select["from_table"]["table_name"], []).append(select["from_table"])
        elif _stands_alone(sql := _query(select, connection), connection):
            sql = _HOLDING.get(subquery["subquery_type"], "{}").format(sql)
            held = "input_" + hashlib.sha256(sql.encode()).hexdigest()[:16]
            inputs[held] = Input(sql, frozenset(names))
            body = _parsed(f"(SELECT * FROM temp.main.{held})", connection)  # noqa: S608 - made above
            subquery["subquery"]["node"] = select = body["statements"][0]["node"]["select_list"][0]["subquery"]["node"]
            held_in.append(select["from_table"])
        elif _is_of_day(select, table):
            of_day |= names
        else:
            is_open = True
    cases = [source for sources in of_case.values() for source in sources]
    for source in cases:
        source["alias"] = source["alias"] or source["table_name"]
    original = {id(source): source["table_name"] for source in (*cases, *held_in)}

    def said(held: str, case: str | None) -> str:
        for source in held_in:
            _redirect(source, "temp", "main", held.format(table=original[id(source)]))
        for source in cases:
            _redirect(source, *(("temp", "main", case.format(table=original[id(source)])) if case else ("marts", original[id(source)])))
        return _expression(tree, connection)

    whole = said("{table}", None) if inputs else condition
    former = said(FORMER, None) if inputs else condition
    scoped, former_scoped = (said("{table}", SCOPED), said(FORMER, FORMER)) if of_case else (whole, former)
    return Reading(frozenset(tables), frozenset(of_case), frozenset(of_day), inputs, is_open, whole, scoped, former, former_scoped)


def _parsed(condition: str, connection: duckdb.DuckDBPyConnection) -> Node:
    text = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [f"SELECT (\n{condition}\n)"]).fetchall()[0][0]
    tree: Node = json.loads(text)
    return tree


def _expression(tree: Node, connection: duckdb.DuckDBPyConnection) -> str:
    text = connection.execute("SELECT json_deserialize_sql($1::JSON)", [json.dumps(tree)]).fetchall()[0][0]
    return str(text).removeprefix("SELECT ")


def _query(select: Node, connection: duckdb.DuckDBPyConnection) -> str:
    text = json.dumps({"error": False, "statements": [{"node": select, "named_param_map": []}]})
    return str(connection.execute("SELECT json_deserialize_sql($1::JSON)", [text]).fetchall()[0][0])


def _nodes(node: Any) -> Iterator[Node]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def _subqueries(node: Any) -> Iterator[Node]:
    """Outermost subqueries; what stands inside one belongs to it."""
    if isinstance(node, dict):
        if node.get("class") == "SUBQUERY":
            yield node
            yield from _subqueries(node.get("child"))
            return
        for value in node.values():
            yield from _subqueries(value)
    elif isinstance(node, list):
        for value in node:
            yield from _subqueries(value)


def _is_of_case(subquery: Node) -> bool:
    """Whether its answer for a row depends on rows of the same case alone."""
    select = subquery["subquery"]["node"]
    if not _is_plain(select) or select["from_table"]["table_name"] not in CASE_TABLES:
        return False
    if subquery["subquery_type"] == "ANY":
        chosen = select["select_list"]
        return (
            subquery["comparison_type"] == "COMPARE_EQUAL" and len(chosen) == 1 and not select["modifiers"]
            and _case_key(subquery["child"]) == _case_key(chosen[0]) != () and _groups_keep_cases_apart(select)
        )  # fmt: skip
    equal = _equal_to_own(select)
    return all(equal.get(name) == name for name in CASE_KEY)


def _is_of_day(select: Node, table: str) -> bool:
    """Whether its answer for a row depends on the partition of the same day alone."""
    if not _is_plain(select) or (other := select["from_table"]["table_name"]) not in TABLES:
        return False
    days = [(TABLES[name].day or "").removeprefix("t.") for name in (other, table)]
    return bool(days[0]) and _equal_to_own(select).get(days[0]) == days[1]


def _is_plain(select: Node) -> bool:
    """A selection from one table, without windows, further subqueries or samples."""
    source = select.get("from_table") or {}
    inside = (node for node in _nodes(select) if node.get("class") in ("SUBQUERY", "WINDOW"))
    return (
        select["type"] == "SELECT_NODE" and source.get("type") == "BASE_TABLE" and not select["cte_map"]["map"]
        and not select["sample"] and not source["sample"] and next(inside, None) is None
    )  # fmt: skip


def _groups_keep_cases_apart(select: Node) -> bool:
    if select["aggregate_handling"] == "FORCE_AGGREGATES":  # GROUP BY ALL: by the key, which is all that is chosen
        return True
    columns = {tuple(name for name in _columns(node)[-1:]) for node in select["group_expressions"]}
    is_grouped = bool(select["group_expressions"]) or select["having"] is not None
    return not is_grouped or (len(select["group_sets"]) == 1 and {(name,) for name in CASE_KEY} <= columns)


def _case_key(node: Node) -> tuple[str, ...]:
    """``hash(source, case_number, …)`` or ``(source, case_number, …)`` as function and columns; empty for anything else."""
    if node.get("class") != "FUNCTION" or node["function_name"] not in ("hash", "row"):
        return ()
    names = [_columns(argument.get("expression", argument)) for argument in node["arguments"]]
    columns = tuple(name[-1] for name in names if name)
    return (node["function_name"], *columns) if len(columns) == len(names) and set(CASE_KEY) <= set(columns) else ()


def _equal_to_own(select: Node) -> dict[str, str]:
    """Column of the table it reads → column of the row ``t`` to which its ``WHERE`` binds it."""
    source = select["from_table"]
    alias = source["alias"] or source["table_name"]
    where = select["where_clause"]
    if not where or alias == "t":
        return {}
    found = {}
    for part in where["children"] if where.get("type") == "CONJUNCTION_AND" else [where]:
        if part.get("type") == "COMPARE_EQUAL":
            left, right = _columns(part["left"]), _columns(part["right"])
            for inner, outer in ((left, right), (right, left)):
                if inner[:-1] == (alias,) and outer[:-1] == ("t",):
                    found[inner[-1]] = outer[-1]
    return found


def _columns(node: Node) -> tuple[str, ...]:
    return tuple(name.lower() for name in node["column_names"]) if node.get("class") == "COLUMN_REF" else ()


def _redirect(source: Node, *path: str) -> None:
    """Has a reference to a table name another one, by its schema or by catalog and schema."""
    *outer, table = path
    source.update(catalog_name=outer[0] if len(outer) > 1 else "", schema_name=outer[-1], table_name=table, qualified_name={"path": list(path)})


def _stands_alone(query: str, connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        connection.execute(f"DESCRIBE {query}")
    except duckdb.BinderException:
        return False
    return True
