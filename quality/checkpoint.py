"""What Great Expectations is told: a suite, a validation and a checkpoint for each mart, and the Data Docs of them all.

Runs in the process of :mod:`quality.suite` only; importing it imports Great Expectations.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.data_context.types.base import ProgressBarsConfig
from sqlalchemy import Engine, event

from quality.data_docs import Validated, make_local
from quality.duckdb_dialect import keep_connection
from quality.suite import Expectation

_CONFIG = {"memory_limit": "2GB", "enable_external_access": False, "autoinstall_known_extensions": False, "autoload_known_extensions": False}
_RESULT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
"""Counts, and no list of unexpected values: the ledger lists the records, and listing runs each query a second time."""

_ABORTED = "transaction is aborted"


class NoUnexpectedRows(gx.expectations.UnexpectedRowsExpectation):  # type: ignore[name-defined,misc]
    """Counts the rows and does not list them."""

    metric_dependencies = ("unexpected_rows_query.row_count",)

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        return super()._validate({**metrics, "unexpected_rows_query.table": None}, *args, **kwargs)


def run(masked: Path, expectations: Sequence[Expectation], zone: str, docs: Path | None, run_name: str) -> Iterator[dict[str, Any]]:
    """Runs the expectations; parameters as of :func:`quality.suite.unexpected_rows`.

    Yields:
        ``name`` and ``unexpected``, or ``name`` and ``error``.
    """
    keep_connection()
    event.listen(Engine, "connect", lambda connection, _: connection.execute(f"SET TimeZone = '{zone}'"))  # no option of a DuckDB connection
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    marts = context.data_sources.add_sql(  # type: ignore[call-arg] # the stub leaves kwargs out
        "marts", connection_string="duckdb:///", create_temp_table=False,
        kwargs={"connect_args": {"database": str(masked), "read_only": True, "config": _CONFIG}},
    )
    batches: dict[tuple[str, str | None], list[Expectation]] = {}
    for expectation in expectations:
        batches.setdefault((expectation.table, expectation.rows), []).append(expectation)
    contents: list[Validated] = []
    for (table, rows), chosen in batches.items():
        name = table if rows is None else f"{table}_changed"
        if rows is None:
            asset: Any = marts.add_table_asset(name, table_name=table, schema_name="marts")
        else:
            asset = marts.add_query_asset(name, query=f"SELECT * FROM marts.{table} AS t WHERE {rows}")  # noqa: S608 - from the catalogue
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=[_expectation(one) for one in chosen]))
        data = asset.add_batch_definition_whole_table("all")
        validation = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=data, suite=suite))
        checkpoint = context.checkpoints.add(gx.Checkpoint(name=name, validation_definitions=[validation], result_format=_RESULT))
        result = checkpoint.run(run_id=gx.RunIdentifier(run_name=run_name))
        for validated in result.run_results.values():
            contents.append(Validated(name, sum(bool(found.success) for found in validated.results), len(validated.results)))
            # after an error DuckDB refuses what follows in its transaction: the first message is the useful one
            yield from sorted((_answer(found) for found in validated.results), key=lambda answer: _ABORTED in answer.get("error", ""))
    if docs is not None:
        store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)}
        site: Any = {"class_name": "SiteBuilder", "store_backend": store, "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"}, "show_how_to_buttons": False}
        context.add_data_docs_site(site_name="docs", site_config=site)
        context.build_data_docs(site_names=["docs"])
        make_local(docs, run_name, contents)


def _expectation(one: Expectation) -> Any:
    said: Any = {"description": one.title or None, "notes": one.notes or None, "meta": {"rule": one.name}}
    built_in: Any = gx.expectations
    match one.kind:
        case "required":
            return built_in.ExpectColumnValuesToNotBeNull(column=one.columns[0], **said)
        case "codes":
            return built_in.ExpectColumnValuesToBeInSet(column=one.columns[0], value_set=list(one.values), **said)
        case "length":
            return built_in.ExpectColumnValueLengthsToBeBetween(column=one.columns[0], min_value=one.values[0], max_value=one.values[1], **said)
        case "unique" if len(one.columns) == 1:
            return built_in.ExpectColumnValuesToBeUnique(column=one.columns[0], **said)
        case "unique":
            return built_in.ExpectCompoundColumnsToBeUnique(column_list=list(one.columns), **said)
    query = f"SELECT 1 FROM (SELECT * FROM {{batch}}) AS t WHERE {_escaped(one.condition)}"  # noqa: S608
    return NoUnexpectedRows(unexpected_rows_query=query, **said)


def _answer(found: Any) -> dict[str, Any]:
    name, result = found.expectation_config.meta["rule"], found.result
    for key in ("observed_value", "unexpected_count"):
        if key in result:
            is_empty = result[key] is None and not result.get("element_count")  # over a mart without rows some count nothing instead of 0
            return {"name": name, "unexpected": 0 if is_empty else int(result[key])}
    raised = [info["exception_message"] for info in found.exception_info.values() if isinstance(info, dict)]
    return {"name": name, "error": str(raised[0]).strip().splitlines()[0] if raised else "没有结果"}


def _escaped(sql: str) -> str:
    """SQL as Great Expectations takes it: it fills braces in and binds names after colons."""
    return sql.replace("{", "{{").replace("}", "}}").replace(":", "\\:")
