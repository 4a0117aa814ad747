"""What all tables share: names of constraints, column types, the mark of encrypted columns."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from models.store.operational.types import Instant, Json

_NAMES = {
    "ix": "ix_%(table_name)s__%(column_0_N_name)s",
    "uq": "uq_%(table_name)s__%(column_0_N_name)s",
    "ck": "ck_%(table_name)s__%(constraint_name)s",
    "fk": "fk_%(table_name)s__%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables."""

    metadata = sa.MetaData(naming_convention=_NAMES)
    type_annotation_map = {datetime: Instant(), dict[str, Any]: Json, list[str]: Json}


SECRET = {"encrypted": True}
"""Marks a column whose values are sealed by :mod:`models.core.crypto`: rotation of keys finds them by it."""
