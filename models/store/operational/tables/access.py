"""Ways in: keys of systems, sessions of people, who is who at the identity provider, failed attempts."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.store.operational.tables.base import Base


class ApiKey(Base):
    """A key with which a system comes in; its secret is kept as a digest only."""

    __tablename__ = "api_key"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[str]
    grants: Mapped[list[str]]
    """``role@unit``, ``role@`` for the whole platform."""
    unit_code: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    """When another one than its issuer let it work; until then it is nobody's."""
    confirmed_by: Mapped[str | None]


class LoginSession(Base):
    """A log-in that holds until it is ended, idle for too long, or too old; its number is kept as a digest only."""

    __tablename__ = "login_session"
    __table_args__ = (sa.Index(None, "subject"), sa.Index(None, "issuer", "provider_session"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    subject: Mapped[str]
    """``staff:<id>``, ``party:<id>`` or ``token:<name>``."""
    issuer: Mapped[str | None]
    provider_subject: Mapped[str | None]
    provider_session: Mapped[str | None]
    methods: Mapped[list[str]]
    """How it was proved (``amr``, RFC 8176)."""
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_why: Mapped[str | None]


class Identity(Base):
    """A citizen or enterprise as the identity provider knows it."""

    __tablename__ = "identity"

    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[UUID] = mapped_column(sa.ForeignKey("party.id"), index=True)
    created_at: Mapped[datetime]


class Once(Base):
    """What may be used once: the state of a log-in that is under way, a log-out token."""

    __tablename__ = "once"

    digest: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[str | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Attempts(Base):
    """Failed attempts to come in, by account or address (both as digests), and until when no more are taken."""

    __tablename__ = "attempts"

    name: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    locked_until: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(index=True)
