"""Lists in pages: each goes on where the last one ended, by key, so that no page is slower than the first.

The token says where; it is opaque and checked, not secret: it grants nothing that the first page does not, and its values only
ever become bound parameters.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.domain.errors import YiwangError
from models.store.tokens import token_of, values_of

DEFAULT_LIMIT, MOST_LIMIT = 50, 200
"""Rows of a page: where nothing is said, and at most."""
_KIND = "page"
Row = TypeVar("Row")


@dataclass(frozen=True)
class Paging:
    """Which page is wanted.

    Attributes:
        limit: Rows at most, 1 to :data:`MOST_LIMIT`.
        cursor: ``next`` of the page before; None for the first one.
    """

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A page of a list.

    Attributes:
        items: Its rows.
        next: Token of the page after it; None for the last one.
    """

    items: Sequence[Row]
    next: str | None


def page(
    session: Session, query: sa.Select[tuple[Row]], keys: Sequence[Any], paging: Paging, *, is_descending: bool = False,
    place: Callable[[Row], Sequence[Any]] | None = None,
) -> Page[Row]:
    """A page of a query; one query.

    Args:
        session: The transaction.
        query: Selects one entity, with its conditions, without an order.
        keys: Columns of that entity that order it, or expressions; never null, together unique.
        paging: Which page.
        is_descending: The greatest first.
        place: The keys' values of a row, where they are not all columns.

    Raises:
        YiwangError: YW-STORE-006 for a token that is not one of this list's.
    """
    question = hashlib.blake2b("|".join([*map(str, keys), str(is_descending)]).encode(), digest_size=6).hexdigest()
    if paging.cursor is not None:
        values = _values(paging.cursor, question, [key.type.python_type for key in keys])
        here, there = sa.tuple_(*keys), sa.tuple_(*(sa.literal(value, key.type) for value, key in zip(values, keys, strict=True)))
        query = query.where(here < there if is_descending else here > there)
    limit = max(1, min(paging.limit, MOST_LIMIT))
    order = [key.desc() if is_descending else key.asc() for key in keys]
    rows = session.scalars(query.order_by(*order).limit(limit + 1)).all()
    if len(rows) <= limit:
        return Page(rows, None)
    last = rows[limit - 1]
    return Page(rows[:limit], _token(question, place(last) if place else [getattr(last, key.key) for key in keys]))


def _token(question: str, values: Sequence[Any]) -> str:
    written = [value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, UUID) else value for value in values]
    return token_of([question, written], _KIND)


def _values(token: str, question: str, types: Sequence[Any]) -> list[Any]:
    try:
        asked, values = values_of(token, _KIND)
        found = [wanted.fromisoformat(value) if issubclass(wanted, date) else wanted(value) for value, wanted in zip(values, types, strict=True)]
    except (ValueError, TypeError) as error:
        raise YiwangError("YW-STORE-006", detail="内容不完整") from error
    if asked != question:
        raise YiwangError("YW-STORE-006", detail="它属于另一个列表")
    return found
