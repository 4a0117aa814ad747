"""The forecast of a run: written beside the masked marts, read from the published snapshot.

What does not belong here: how it is made (:mod:`models.forecast.service`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pandas as pd
import pyarrow as pa

from models.store.snapshots import Snapshot, SnapshotStore

_TABLES = {
    "forecast_case": """
        source VARCHAR NOT NULL, case_number VARCHAR NOT NULL, matter_code VARCHAR, department_code VARCHAR, due_on DATE NOT NULL, days_left INTEGER NOT NULL,
        probability DOUBLE, place INTEGER NOT NULL, reasons VARCHAR""",
    "forecast_summary": """
        made_on DATE NOT NULL, method VARCHAR, cut_on DATE, learned BIGINT NOT NULL, learned_late BIGINT NOT NULL, asked BIGINT NOT NULL, asked_late BIGINT NOT NULL, reason VARCHAR""",
    "forecast_measure": """
        name VARCHAR NOT NULL, brier DOUBLE, log_loss DOUBLE, roc_auc DOUBLE, average_precision DOUBLE, calibration_error DOUBLE, top_tenth DOUBLE, gain DOUBLE,
        gain_low DOUBLE, gain_high DOUBLE""",
    "forecast_bin": "name VARCHAR NOT NULL, bin INTEGER NOT NULL, predicted DOUBLE NOT NULL, observed DOUBLE NOT NULL, landmarks BIGINT NOT NULL, late BIGINT NOT NULL",
}
"""Grain: an open case; the forecast; a forecaster (the model, two baselines); a forecaster and a tenth of what it was asked."""


_DEPARTMENTS = "(SELECT DISTINCT ON (department_code) department_code, department_name FROM marts.dim_department) AS d"


class Made(Protocol):
    """What :func:`write_forecast` stores: ``models.forecast.service.Forecast``."""

    @property
    def today(self) -> date:
        """The day on which it stands."""

    @property
    def method(self) -> str | None:
        """How it was made."""

    @property
    def cases(self) -> pa.Table:
        """Rows of ``marts.forecast_case``."""

    @property
    def judgement(self) -> Any:
        """How good it was: ``models.forecast.judging.Judgement``."""


def write_forecast(masked: Path, made: Made) -> None:
    """Replaces the forecast, in one transaction.

    Args:
        masked: DuckDB file of the masked marts.
        made: The forecast.
    """
    judged = made.judgement
    summary = pd.DataFrame([(made.today, made.method, judged.cut, *judged.learned, *judged.asked, judged.reason)])
    rows: Mapping[str, Any] = {"forecast_case": made.cases, "forecast_summary": summary, "forecast_measure": judged.measures, "forecast_bin": judged.bins}
    with duckdb.connect(str(masked)) as connection:
        connection.begin()
        for table, columns in _TABLES.items():
            connection.execute(f"CREATE OR REPLACE TABLE marts.{table} ({columns})")
            if len(rows[table]):
                connection.register("incoming", rows[table])
                connection.execute(f"INSERT INTO marts.{table} SELECT * FROM incoming")  # noqa: S608
                connection.unregister("incoming")
        connection.commit()


@dataclass(frozen=True)
class Page:
    """One page of the worklist.

    Attributes:
        summary: The row of ``forecast_summary``.
        rows: Open cases with ``matter_name`` and ``department_name``.
        count: How many there are in all.
        departments: ``department_code``, ``department_name`` of those with open cases, for the filter.
    """

    summary: dict[str, Any]
    rows: list[dict[str, Any]]
    count: int
    departments: list[dict[str, Any]]


class ForecastRepository:
    """Reads the forecast.

    Args:
        store: Where the snapshots are.
    """

    def __init__(self, store: SnapshotStore) -> None:
        self.store = store

    def page(self, snapshot: Snapshot, number: int, size: int, department: str | None = None) -> Page:
        """The open cases, most probable first.

        Args:
            snapshot: Which one.
            number: Page, from 1.
            size: Rows a page.
            department: Of this department only.

        Raises:
            YiwangError: YW-STORE-007 where the snapshot is older than the forecast.
        """
        of_it = "WHERE ? IS NULL OR f.department_code = ?"
        rows = self.store.rows(
            snapshot,
            f"""SELECT f.*, c.matter_name, d.department_name FROM (SELECT * FROM marts.forecast_case AS f {of_it} ORDER BY place LIMIT ? OFFSET ?) AS f
            LEFT JOIN marts.fct_case AS c USING (source, case_number)
            LEFT JOIN {_DEPARTMENTS} ON d.department_code = f.department_code ORDER BY f.place""",  # noqa: S608 - constants
            department, department, size, (number - 1) * size,
        )  # fmt: skip
        [counted] = self.store.rows(snapshot, f"SELECT count(*) AS n FROM marts.forecast_case AS f {of_it}", department, department)  # noqa: S608
        departments = self.store.rows(
            snapshot,
            f"SELECT DISTINCT department_code, department_name FROM marts.forecast_case LEFT JOIN {_DEPARTMENTS} USING (department_code) ORDER BY 2, 1",  # noqa: S608
        )
        [summary] = self.store.rows(snapshot, "SELECT * FROM marts.forecast_summary")
        return Page(summary, rows, counted["n"], departments)

    def judgement(self, snapshot: Snapshot) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Measures and reliability bins of the model and its baselines."""
        measures = self.store.rows(snapshot, "SELECT * FROM marts.forecast_measure")
        return measures, self.store.rows(snapshot, "SELECT * FROM marts.forecast_bin ORDER BY name, bin")
