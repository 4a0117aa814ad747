"""The catalogue's tables as they are published, and what its YAML holds.

What does not belong here: how their rows are found.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

_INSTANT = pa.timestamp("us", tz="UTC")
SCHEMAS: dict[str, pa.Schema] = {
    "catalogue_source": pa.schema({
        "source": pa.string(), "subject": pa.string(), "kind": pa.string(), "location": pa.string(), "owner": pa.string(),
        "is_configured": pa.bool_(), "table_name": pa.string(), "row_count": pa.int64(), "quarantined": pa.int64(), "last_checked_at": _INSTANT,
        "last_read_at": _INSTANT, "newest_at": _INSTANT, "started_on": pa.date32(), "habit": pa.string(), "missing_partitions": pa.int64(),
        "unexpected_partitions": pa.int64(), "freshness": pa.string(), "freshness_reason": pa.string(),
    }),
    "catalogue_table": pa.schema({
        "table_name": pa.string(), "layer": pa.string(), "title": pa.string(), "description": pa.string(), "owner": pa.string(),
        "kind": pa.string(), "row_count": pa.int64(), "column_count": pa.int32(), "sort_order": pa.int32(),
    }),
    "catalogue_column": pa.schema({
        "table_name": pa.string(), "position": pa.int32(), "column_name": pa.string(), "data_type": pa.string(), "title": pa.string(),
        "description": pa.string(), "gb_item": pa.string(), "code_table": pa.string(), "is_personal": pa.bool_(),
    }),
    "catalogue_lineage": pa.schema({"upstream": pa.string(), "downstream": pa.string(), "told_by": pa.string()}),
}  # fmt: skip
"""Table in ``marts`` → columns; ``catalogue_partition`` is made by SQL (:mod:`pipelines.catalogue.partitions`)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Written(_Strict):
    """A product that dbt does not describe.

    Attributes:
        title: What people call it.
        description: Its grain.
        upstream: What it is made from; ``rules`` stands for the tables that quality rules read.
    """

    title: str
    description: str
    upstream: list[str] | Literal["rules"]


class TableText(_Strict):
    """Chinese title of a dbt model and what one row of it is."""

    title: str
    grain: str


class PartitionSpec(_Strict):
    """To which partition a row belongs: by a column of days or of instants."""

    subject: str
    day: str | None = None
    instant: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "PartitionSpec":
        if (self.day is None) == (self.instant is None):
            raise ValueError("day or instant")
        return self


class Rule(_Strict):
    """Parameters of the rule of expected partitions; what they mean stands beside them in ``catalogue.yml``."""

    earliest_day: date
    backed_days: int = Field(ge=1)
    backed_share: float = Field(ge=0, le=1)
    backed_rows: int = Field(ge=1)
    usual_share_days: float = Field(gt=0, le=1)
    usual_share_months: float = Field(gt=0, le=1)
    least_days: int = Field(ge=2)
    least_months: int = Field(ge=2)
    grace: int = Field(ge=0)


class CatalogueFile(_Strict):
    """``catalogue.yml``."""

    partitions: dict[str, PartitionSpec]
    rule: Rule
    owner: str
    layers: dict[str, str]
    written: dict[str, Written]
    tables: dict[str, TableText]
    columns: dict[str, str]


@cache
def catalogue_file() -> CatalogueFile:
    """The catalogue's own data."""
    text = files("pipelines.catalogue").joinpath("catalogue.yml").read_text(encoding="utf-8")
    return CatalogueFile.model_validate(yaml.safe_load(text))


def table_of(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows of a catalogue table."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMAS[name])
