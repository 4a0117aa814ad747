"""The Great Expectations suite, run in a process of its own: ``python -m quality.suite``.

Great Expectations takes seconds to import and hundreds of megabytes, prints progress bars and, together with
duckdb-engine, a report of leaked objects at exit. None of that reaches the run's process or its user's screen.
The process reads one line of JSON, answers one line for each expectation, and ends when its parent does, so that a
killed run does not keep the file of the marts locked.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.domain.errors import YiwangError

_CONFIG = {"memory_limit": "2GB", "enable_external_access": False, "autoinstall_known_extensions": False, "autoload_known_extensions": False}
_ENVIRONMENT = {"GX_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore", "TZ": "UTC"}
_FAILED = "YW-QUALITY-002"


@dataclass(frozen=True)
class Expectation:
    """That no row of a mart meets a condition."""

    name: str
    table: str
    condition: str


def unexpected_rows(masked: Path, expectations: Sequence[Expectation]) -> Iterator[tuple[str, int]]:
    """Runs expectations over the marts, each pushed down to the database.

    Args:
        masked: DuckDB file of the masked marts; no other process may write it meanwhile.
        expectations: What to run.

    Yields:
        The name of an expectation and its number of unexpected rows, as each is done.

    Raises:
        YiwangError: YW-QUALITY-002 when one could not be run: no result is not a good result.
    """
    command = [sys.executable, "-m", "quality.suite"]
    environment = {**os.environ, **_ENVIRONMENT}
    order = {"masked": str(masked), "expectations": [vars(expectation) for expectation in expectations]}
    with subprocess.Popen(  # noqa: S603 - our own module, no input of a user
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True, encoding="utf-8"
    ) as child:
        assert child.stdin and child.stdout and child.stderr  # noqa: S101 - they are pipes
        errors: list[str] = []
        reader = threading.Thread(target=lambda stream: errors.extend(stream), args=(child.stderr,), daemon=True)
        reader.start()
        try:
            child.stdin.write(json.dumps(order) + "\n")
            child.stdin.flush()
            done = 0
            for line in child.stdout:
                answer = json.loads(line)
                if "error" in answer:
                    raise YiwangError(_FAILED, detail=f"{answer['name']} {answer['error']}".strip())
                done += 1
                yield answer["name"], answer["unexpected"]
            if child.wait() or done != len(expectations):
                raise YiwangError(_FAILED, detail=_last(errors))
        finally:
            child.kill()  # it may still be at work when the caller has had enough
            reader.join()  # before its pipe is closed under it


def _last(lines: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(lines) if line.strip()), "检查进程意外结束")


def _serve() -> None:
    """What the child does."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is not an answer
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        for answer in _run(Path(order["masked"]), [Expectation(**expectation) for expectation in order["expectations"]]):
            out.write(json.dumps(answer) + "\n")
            out.flush()
    except Exception as error:
        out.write(json.dumps({"name": "", "error": _first_line(error)}) + "\n")


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _run(masked: Path, expectations: Sequence[Expectation]) -> Iterator[dict[str, Any]]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    from quality.duckdb_dialect import keep_connection

    class NoUnexpectedRows(gx.expectations.UnexpectedRowsExpectation):  # type: ignore[name-defined,misc]
        """Counts the rows and does not list them: listing runs the query a second time."""

        metric_dependencies = ("unexpected_rows_query.row_count",)

        def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            return super()._validate({**metrics, "unexpected_rows_query.table": None}, *args, **kwargs)

    keep_connection()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    marts = context.data_sources.add_sql(  # type: ignore[call-arg] # the stub leaves kwargs out
        "marts", connection_string="duckdb:///", create_temp_table=False,
        kwargs={"connect_args": {"database": str(masked), "read_only": True, "config": _CONFIG}},
    )
    batches: dict[str, Any] = {}
    for expectation in expectations:
        table = expectation.table
        if table not in batches:
            asset = marts.add_table_asset(table, table_name=table, schema_name="marts")
            batches[table] = asset.add_batch_definition_whole_table("all").get_batch()
        query = f"SELECT 1 FROM (SELECT * FROM {{batch}}) AS t WHERE {_escaped(expectation.condition)}"  # noqa: S608
        found = batches[table].validate(NoUnexpectedRows(unexpected_rows_query=query), result_format="SUMMARY")
        yield _answer(expectation.name, found)


def _answer(name: str, found: Any) -> dict[str, Any]:
    if "observed_value" in found.result:
        return {"name": name, "unexpected": int(found.result["observed_value"])}
    raised = [info["exception_message"] for info in found.exception_info.values() if isinstance(info, dict)]
    return {"name": name, "error": _first_line(raised[0]) if raised else "没有结果"}


def _first_line(error: object) -> str:
    return str(error).strip().splitlines()[0]


def _escaped(sql: str) -> str:
    """SQL as Great Expectations takes it: it fills braces in and binds names after colons."""
    return sql.replace("{", "{{").replace("}", "}}").replace(":", "\\:")


if __name__ == "__main__":
    _serve()
