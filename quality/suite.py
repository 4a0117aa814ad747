"""The Great Expectations suites, run in a process of their own: ``python -m quality.suite``.

Great Expectations takes seconds to import and hundreds of megabytes, prints progress bars and, together with
duckdb-engine, a report of leaked objects at exit. None of that reaches the run's process or its user's screen.
The process reads one line of JSON, answers one line for each expectation, and ends when its parent does, so that a
killed run does not keep the file of the marts locked.
What does not belong here: what Great Expectations is told (:mod:`quality.checkpoint`).
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.domain.errors import YiwangError

_ENVIRONMENT = {"GX_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore", "TZ": "UTC"}
_FAILED = "YW-QUALITY-002"


@dataclass(frozen=True)
class Expectation:
    """That no row of a batch meets a condition.

    Attributes:
        name: Key, the rule's id.
        table: The mart.
        condition: SQL condition of the unexpected rows ``t``.
        rows: SQL condition of the rows of the mart that make up the batch; all when None.
        kind: A built-in expectation that says the same as ``condition``: ``required``, ``unique``, ``codes``, ``length``; None for none.
        columns: Its columns.
        values: Its code set, or least and greatest length.
        title: What it says, in Chinese.
        notes: On whose authority, and how it was evaluated, in Chinese.
    """

    name: str
    table: str
    condition: str
    rows: str | None = None
    kind: str | None = None
    columns: tuple[str, ...] = ()
    values: tuple[str | int, ...] = ()
    title: str = ""
    notes: str = ""


def unexpected_rows(
    masked: Path, expectations: Sequence[Expectation], zone: str = "UTC", docs: Path | None = None, run_name: str = "run"
) -> Iterator[tuple[str, int]]:
    """Runs expectations over the marts, each pushed down to the database, one checkpoint for each mart.

    Args:
        masked: DuckDB file of the masked marts; no other process may write it meanwhile.
        expectations: What to run; one name once.
        zone: Zone in which instants become days.
        docs: Folder for the Data Docs, made anew; none are built when None.
        run_name: What the Data Docs call the run.

    Yields:
        The name of an expectation and its number of unexpected rows, as each is done.

    Raises:
        YiwangError: YW-QUALITY-002 when one could not be run: no result is not a good result.
    """
    command = [sys.executable, "-m", "quality.suite"]
    environment = {**os.environ, **_ENVIRONMENT}
    order = {
        "masked": str(masked), "expectations": [vars(expectation) for expectation in expectations],
        # Great Expectations takes no relative folder
        "zone": zone, "docs": str(docs.resolve()) if docs else None, "run_name": run_name,
    }  # fmt: skip
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
        from quality.checkpoint import run

        expectations = [Expectation(**expectation) for expectation in order["expectations"]]
        for answer in run(Path(order["masked"]), expectations, order["zone"], Path(order["docs"]) if order["docs"] else None, order["run_name"]):
            out.write(json.dumps(answer) + "\n")
            out.flush()
    except Exception as error:
        out.write(json.dumps({"name": "", "error": str(error).strip().splitlines()[0]}) + "\n")


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    _serve()
