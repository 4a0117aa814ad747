"""A catalogue for the made-up snapshots of tests: the real builder over the fixture's marts, with made-up sources.

Certificates come every working day of the half year up to ``AS_OF`` but for two days, and one is dated in the year 1.
"""

from datetime import date
from typing import Any

import duckdb
import yaml

from models.domain.calendar import calendar_table, work_calendar
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from pipelines.catalogue.metadata import Product, add_tables, column_rows, table_rows
from pipelines.catalogue.partitions import write_partitions
from pipelines.catalogue.types import SCHEMAS, catalogue_file, table_of
from tests.support.snapshots import AS_OF, CONTRACTS, RUN_ID, write_marts

WORKING = [day for day in work_calendar().working_days if date(2026, 1, 1) <= day <= date(2026, 6, 30)]
LOST = (WORKING[20], WORKING[60])
EDGES = [
    ("source.city", "raw.case"), ("source.city", "raw.certificate"), ("raw.case", "staging.stg_case"), ("staging.stg_case", "marts.fct_case"),
    ("raw.certificate", "marts.fct_certificate"), ("marts.fct_case", "marts.mart_department_day"), ("marts.mart_department_day", "marts.score_department_month"),
    ("marts.score_department_month", "publish.report"), ("raw.calendar", "marts.mart_department_day"),
]  # fmt: skip
SOURCES: list[dict[str, Any]] = [
    {"source": "city", "subject": "case", "location": "${YIWANG_SOURCE_CITY}", "table_name": "marts.fct_case", "freshness": "fresh", "freshness_reason": "按日到齐", "habit": "daily", "missing_partitions": 0},
    {"source": "city", "subject": "certificate", "location": "inbox/*.csv", "table_name": "marts.fct_certificate", "freshness": "stale", "freshness_reason": "最近 3 个工作日没有记录", "habit": "daily", "missing_partitions": 2, "unexpected_partitions": 1},
    {"source": "city", "subject": "region", "location": "inbox/regions.csv", "table_name": "marts.dim_region", "freshness": "no_rule", "freshness_reason": "基础数据，不按日更新"},
]


def publish_with_catalogue(settings: Settings, evil: str = "") -> None:
    """Publish a snapshot with a catalogue; ``evil`` is put into every name that people give."""
    write_marts(settings.marts, cases=200)
    data = catalogue_file()
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = 'UTC'; ATTACH '{settings.marts}' AS masked")
        connection.execute("DELETE FROM masked.marts.fct_certificate")
        for number, day in enumerate([*(day for day in WORKING if day not in LOST), date(1, 1, 1)]):
            connection.execute(
                "INSERT INTO masked.marts.fct_certificate (source, certificate_id, issued_on) SELECT 'city', ? || '-' || n, ? FROM range(3) AS r(n)", [str(number), day]
            )
        connection.register("calendar", calendar_table())
        write_partitions(connection, data.partitions, data.rule, AS_OF, "Asia/Shanghai", calendar="calendar")
        products: dict[str, Product] = {}
        add_tables(connection, "masked", ("marts",), products)
        for name in {end for edge in EDGES for end in edge} - set(products):
            products[name] = Product(name, name.partition(".")[0], "source" if name.startswith("source.") else "table")
        for path in CONTRACTS.glob("*.yml"):
            for model in yaml.safe_load(path.read_text(encoding="utf-8"))["models"]:
                if product := products.get(f"marts.{model['name']}"):
                    product.described = {column["name"]: column for column in model["columns"]}
        tables, columns = table_rows(products, data), column_rows(products, data)
        for row in tables:
            row["title"], row["description"] = evil + row["title"], evil + row["description"]
        for row in columns:
            row["title"], row["description"] = evil + row["title"], evil + row["description"]
        sources = [
            {"kind": "file", "is_configured": True, "row_count": 5, "quarantined": 0, "newest_at": AS_OF, "last_read_at": AS_OF, **row, "owner": evil + "数据平台组",
             "freshness_reason": evil + row["freshness_reason"]}
            for row in SOURCES
        ]
        written = {
            "catalogue_source": sources, "catalogue_table": tables, "catalogue_column": columns,
            "catalogue_lineage": [{"upstream": above, "downstream": below, "told_by": "dbt"} for above, below in EDGES],
        }
        assert set(written) == set(SCHEMAS)
        for table, rows in written.items():
            connection.register("_rows", table_of(table, rows))
            connection.execute(f"CREATE TABLE masked.marts.{table} AS FROM _rows")
            connection.unregister("_rows")
    SnapshotStore(settings).publish(settings.marts, RUN_ID, AS_OF, AS_OF)
