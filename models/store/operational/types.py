"""Column types that mean the same on SQLite and on PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

Json = JSON().with_variant(JSONB(), "postgresql")
"""A JSON document."""
Position = BigInteger().with_variant(Integer(), "sqlite")
"""A number that the database gives, in the order of insertion (SQLite counts up INTEGER keys only)."""
_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


class Instant(TypeDecorator[datetime]):
    """An instant in UTC: ``timestamptz`` on PostgreSQL, on SQLite text of fixed width that sorts as time does.

    Naive values are refused: nobody could say when they are.
    """

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of the database at hand."""
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == "postgresql" else String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Into the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without zone")
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.strftime(_FORM)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Out of the database."""
        if value is None or isinstance(value, datetime):
            return value
        return datetime.fromisoformat(value)
