"""Bringing the operational database to this version's tables (Alembic).

Migrations go forward only: what a release has written, the next one reads. Two processes that start at once do it once.
"""

from collections.abc import Callable
from importlib.resources import files
from uuid import UUID

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from models.domain.errors import YiwangError
from models.store.operational.database import Database

_LOCK = 7316427


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("models.store.operational") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


Encrypt = Callable[[str, str, str, UUID], str]
"""A text, table, column and row → ciphertext."""


def upgrade(database: Database, encrypt: Encrypt | None = None) -> str:
    """Create or change the tables as this version needs them; does nothing where they are.

    Args:
        database: The store.
        encrypt: For texts that earlier versions kept in clear (:func:`models.core.crypto.service.encrypting`); a store without any needs none.

    Returns:
        The revision that the database has now.

    Raises:
        YiwangError: YW-STORE-009 where the database was written by a newer version.
    """
    config = _config()
    head = ScriptDirectory.from_config(config).get_current_head()
    with database.write() as session:
        connection = session.connection()
        if not database.is_sqlite:  # SQLite's writer lock does the same
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
            raise YiwangError("YW-STORE-009", found=current, known=head)
        if current != head:
            config.attributes["connection"], config.attributes["encrypt"] = connection, encrypt
            command.upgrade(config, "head")
    return head or ""
