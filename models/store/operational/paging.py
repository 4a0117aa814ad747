"""Lists in pages: each goes on where the last one ended, by key, so that no page is slower than the first.

The token says where; it is opaque and checked, not secret: it grants nothing that the first page does not, and its values only
ever become bound parameters.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
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


class Listing(Generic[Row]):
    """A list: its query, built once and asked as often as there are pages; building a query costs as much as asking it.

    Args:
        query: Selects one entity, with its conditions, without an order.
        keys: Columns of that entity that order it, or expressions; never null, together unique.
        is_descending: The greatest first.
        place: The keys' values of a row, where they are not all columns.
    """

    def __init__(self, query: sa.Select[tuple[Row]], keys: Sequence[Any], *, is_descending: bool = False, place: Callable[[Row], Sequence[Any]] | None = None) -> None:
        self._place = place or (lambda row: [getattr(row, key.key) for key in keys])
        self._types = [key.type.python_type for key in keys]
        self._keys, self._is_descending = keys, is_descending
        self._question = hashlib.blake2b("|".join([*map(str, keys), str(is_descending)]).encode(), digest_size=6).hexdigest()
        self._first = query.order_by(*(key.desc() if is_descending else key.asc() for key in keys)).limit(sa.bindparam("rows", type_=sa.Integer()))

    def page(self, session: Session, paging: Paging, values: Mapping[str, Any] | None = None) -> Page[Row]:
        """A page; one query.

        Args:
            session: The transaction.
            paging: Which page.
            values: Of the query's parameters.

        Raises:
            YiwangError: YW-STORE-006 for a token that is not one of this list's.
        """
        limit = max(1, min(paging.limit, MOST_LIMIT))
        given, query = dict(values or {}) | {"rows": limit + 1}, self._first
        if paging.cursor is not None:
            after = _values(paging.cursor, self._question, self._types)
            given, query = given | {f"after_{number}": value for number, value in enumerate(after)}, self._next
        rows = session.scalars(query, given).all()
        if len(rows) <= limit:
            return Page(rows, None)
        return Page(rows[:limit], _token(self._question, self._place(rows[limit - 1])))

    @cached_property
    def _next(self) -> sa.Select[tuple[Row]]:
        here = sa.tuple_(*self._keys)
        there = sa.tuple_(*(sa.bindparam(f"after_{number}", type_=key.type) for number, key in enumerate(self._keys)))
        return self._first.where(here < there if self._is_descending else here > there)


def page(
    session: Session, query: sa.Select[tuple[Row]], keys: Sequence[Any], paging: Paging, *, is_descending: bool = False,
    place: Callable[[Row], Sequence[Any]] | None = None,
) -> Page[Row]:
    """A page of a list that is not asked often: arguments as :class:`Listing`.

    Raises:
        YiwangError: YW-STORE-006 for a token that is not one of this list's.
    """
    return Listing(query, keys, is_descending=is_descending, place=place).page(session, paging)


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
