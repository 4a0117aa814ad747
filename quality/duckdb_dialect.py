"""Great Expectations on DuckDB: one connection for all queries.

Great Expectations closes the connection of a query before it reads the answer unless its dialect is listed as one that
keeps its connection; DuckDB's answer is then empty and it fails with "list index out of range"
(https://github.com/great-expectations/great_expectations/issues/11579). Listing DuckDB
helps; ``tests/integration/test_quality_suite.py`` fails when the listing is no longer needed. On one connection a
second try after an error only finds the transaction aborted, so there is none: the first message is the useful one.
"""

from enum import Enum


class _Dialect(Enum):
    DUCKDB = "duckdb"

    def __eq__(self, other: object) -> bool:
        return self.value == other

    def __hash__(self) -> int:
        return hash(self.value)


def keep_connection() -> None:
    """Lists DuckDB among the dialects that keep their connection; doing it again changes nothing."""
    from great_expectations.execution_engine import sqlalchemy_execution_engine as engine
    from great_expectations.validator import validation_graph

    listed = tuple(engine._PERSISTED_CONNECTION_DIALECTS)
    if "duckdb" not in listed:
        engine._PERSISTED_CONNECTION_DIALECTS = (*listed, _Dialect.DUCKDB)  # type: ignore[assignment] # that is the point
    validation_graph.MAX_METRIC_COMPUTATION_RETRIES = 1
