"""A department's database and a home that reads it, for tests of the kind ``sql``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.support.postgres import Server
from tests.support.sync import SyncHome

CASES = """
CREATE TABLE kase (
    id bigserial, case_number text, matter_code text, received_at timestamptz, updated_at timestamptz, gone boolean NOT NULL DEFAULT false
)
"""


@dataclass(frozen=True)
class Office:
    """A database of the test's own, and a home.

    Attributes:
        home: The home.
        server: The server.
        name: Name of the database.
        connection: A superuser's connection to it that commits each statement.
    """

    home: SyncHome
    server: Server
    name: str
    connection: psycopg.Connection[Any]

    @property
    def source(self) -> dict[str, Any]:
        """An entry for the table of cases, read on by ``updated_at``."""
        return {
            "kind": "sql", "subject": "case", "location": self.server.url_of(self.name), "table": "kase", "cursor": "updated_at", "deleted": "gone",
        }  # fmt: skip

    def do(self, statement: str, *parameters: object) -> None:
        """Execute and commit."""
        self.connection.execute(statement, parameters or None)  # type: ignore[call-overload]

    def add(self, number: object, at: str | None, matter: str = "M", connection: psycopg.Connection[Any] | None = None) -> None:
        """A case."""
        (connection or self.connection).execute("INSERT INTO kase (case_number, matter_code, updated_at) VALUES (%s, %s, %s)", (number, matter, at))

    def configure(self, **keys: Any) -> None:
        """Write sources.yml with the table of cases; a key that is None is left out."""
        self.home.configure({key: value for key, value in (self.source | keys).items() if value is not None})

    def raw(self) -> list[Any]:
        """What the raw table has: key, matter, whether deleted."""
        return self.home.rows('SELECT case_number, matter_code, _is_deleted FROM raw."case" ORDER BY 1')

    @contextmanager
    def session(self, user: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """Another session, in which nothing commits by itself."""
        with self.server.connect(self.name, user, autocommit=False) as connection:
            yield connection


@contextmanager
def office(server: Server, home: SyncHome, tables: str = CASES) -> Iterator[Office]:
    """A database with the table of cases."""
    name = server.create()
    try:
        with server.connect(name) as connection:
            connection.execute(tables)  # type: ignore[call-overload]
            yield Office(home, server, name, connection)
    finally:
        server.drop(name)
