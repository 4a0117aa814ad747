"""Parties and authorisations, audit heads, tables that only grow, the outbox's order of commit."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from models.store.operational.types import Instant, Json

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_LIVE = sa.text("deleted_at IS NULL")
_UNSEALED = sa.text("chain_number IS NULL")
_APPEND_ONLY = ("audit", "audit_head", "case_event")
_FIXED = ("position", "transaction", "at", "actor", "authority", "action", "target", "detail")
"""Columns of ``audit`` that are never changed; the chain's two are written once."""


def upgrade() -> None:
    """Parties and authorisations, audit heads, tables that only grow, the outbox's order of commit."""
    _parties()
    op.create_table(
        "audit_head",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_head")),
    )
    op.create_index("ix_audit__unsealed", "audit", ["transaction", "position"], postgresql_where=_UNSEALED, sqlite_where=_UNSEALED)
    op.drop_index("ix_outbox__transaction", "outbox")
    op.create_index(op.f("ix_outbox__transaction_position"), "outbox", ["transaction", "position"])
    op.add_column("consumer", sa.Column("transaction", sa.BigInteger(), server_default="0", nullable=False))
    for statement in _sqlite() if op.get_bind().dialect.name == "sqlite" else _postgresql():
        op.execute(statement)


def _parties() -> None:
    op.create_table(
        "party",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id_type_code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("number_digest", sa.String(), nullable=False),
        sa.Column("phone_digest", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.Column("deleted_reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_party")),
    )
    op.create_index("uq_party__number", "party", ["id_type_code", "number_digest"], unique=True, postgresql_where=_LIVE, sqlite_where=_LIVE)
    op.create_index(op.f("ix_party__phone_digest"), "party", ["phone_digest"])
    op.create_table(
        "authorisation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("matters", Json, nullable=False),
        sa.Column("actions", Json, nullable=False),
        sa.Column("is_special", sa.Boolean(), nullable=False),
        sa.Column("valid_from", Instant(), nullable=False),
        sa.Column("valid_to", Instant(), nullable=False),
        sa.Column("evidence", sa.String(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.Column("revoked_reason", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["principal_id"], ["party.id"], name=op.f("fk_authorisation__principal_id")),
        sa.ForeignKeyConstraint(["agent_id"], ["party.id"], name=op.f("fk_authorisation__agent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authorisation")),
    )
    op.create_index(op.f("ix_authorisation__agent_id_principal_id"), "authorisation", ["agent_id", "principal_id"])
    op.create_index(op.f("ix_authorisation__principal_id"), "authorisation", ["principal_id"])


def _sqlite() -> list[str]:
    # REPLACE deletes without asking delete triggers: a row that is there may not be inserted over.
    keys = {"audit": "position = NEW.position", "audit_head": "number = NEW.number", "case_event": "case_id = NEW.case_id AND sequence = NEW.sequence"}
    refuse = "BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"
    when = f"WHEN NOT ({_sealing()} AND NOT EXISTS (SELECT 1 FROM audit WHERE chain_number = NEW.chain_number))"  # noqa: S608 - names of this file
    statements = []
    for table in _APPEND_ONLY:
        end = refuse.format(table=table)
        statements.append(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {end}")
        sealed = "NEW.chain_number IS NOT NULL OR NEW.chain_hash IS NOT NULL OR " if table == "audit" else ""
        there = f"EXISTS (SELECT 1 FROM {table} WHERE {keys[table]})"  # noqa: S608 - names of this file
        statements.append(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {sealed}{there} {end}")
        statements.append(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {when if table == 'audit' else ''} {end}")
    return statements


def _postgresql() -> list[str]:
    statements = [
        """
        CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '% only grows', TG_TABLE_NAME; END $$
        """
    ]
    for table in _APPEND_ONLY:
        statements.append(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION only_grows()")
        statements.append(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION only_grows()")
        when = f"WHEN (NOT ({_sealing()}))" if table == "audit" else ""
        statements.append(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} FOR EACH ROW {when} EXECUTE FUNCTION only_grows()")
    sealed = "WHEN (NEW.chain_number IS NOT NULL OR NEW.chain_hash IS NOT NULL)"
    return [*statements, f"CREATE TRIGGER audit_no_sealed_insert BEFORE INSERT ON audit FOR EACH ROW {sealed} EXECUTE FUNCTION only_grows()"]


def _sealing() -> str:
    """The one update that ``audit`` allows: the chain's columns, once."""
    same = [f'NEW."{column}" IS NOT DISTINCT FROM OLD."{column}"' for column in _FIXED]
    once = ["OLD.chain_number IS NULL", "OLD.chain_hash IS NULL", "NEW.chain_number IS NOT NULL", "NEW.chain_hash IS NOT NULL"]
    return " AND ".join(same + once)
