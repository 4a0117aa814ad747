"""The door to parties: persons and enterprises, found by their numbers, shown masked, and who may act for whom.

Names, numbers and phones are encrypted where they lie. :func:`reveal` is the only way to them in clear and writes down each time who
looked and why. What does not belong here: whether somebody may look (policy).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.access.service import disown
from models.core.crypto.types import CryptoProvider, Place
from models.core.parties.authority import authorise, may_act, revoke
from models.core.work.service import Work
from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from models.domain.identifiers import (
    is_credit_code,
    is_resident_id,
    mask_identifier,
    mask_name,
    mask_phone,
    mask_text,
    normalise,
)
from models.store.operational.tables import Party

__all__ = ["Masked", "amend", "authorise", "find", "find_by_phone", "masked", "may_act", "register", "remove", "reveal", "revoke"]
Kind = Literal["person", "enterprise"]
Field = Literal["name", "number", "phone"]
RESIDENT, CREDIT = "111", "990"
"""Codes of the resident identity card and of the unified social credit code (L.id_type)."""
_TITLES: dict[Field, str] = {"name": "姓名或名称", "number": "证件号码", "phone": "电话"}
_MASKS = {"name": mask_name, "number": mask_identifier, "phone": mask_phone}


@dataclass(frozen=True)
class Masked:
    """A party as it is shown.

    Attributes:
        id: Its identifier.
        kind: ``person`` or ``enterprise``.
        id_type_code: Type of its certificate (L.id_type).
        name: Masked.
        number: Masked.
        phone: Masked.
        version: For who wants to change it.
    """

    id: UUID
    kind: str
    id_type_code: str
    name: str
    number: str
    phone: str | None
    version: int


def register(now: Work, crypto: CryptoProvider, kind: Kind, name: str, id_type_code: str, number: str, phone: str | None = None) -> Party:
    """A new party.

    Args:
        now: The unit of work.
        crypto: Encrypts and digests.
        kind: ``person`` or ``enterprise``.
        name: In clear.
        id_type_code: Type of the certificate (L.id_type).
        number: Its number, in clear.
        phone: In clear.

    Raises:
        YiwangError: YW-PARTY-001 where a value is wrong; YW-PARTY-002 where the number is registered already.
    """
    number = _checked_number(kind, id_type_code, number)
    if find(now.session, crypto, id_type_code, number) is not None:
        raise YiwangError("YW-PARTY-002")
    party = Party(id=now.new_id(), kind=kind, id_type_code=id_type_code, created_at=now.at, updated_at=now.at)
    _put(crypto, party, _checked_name(name), number, _checked_phone(phone) if phone else None)
    now.session.add(party)
    now.session.flush()
    now.record("party.registered", _target(party.id), kind=kind, id_type_code=id_type_code)
    return party


def amend(
    now: Work, crypto: CryptoProvider, party_id: UUID, version: int, *, name: str | None = None, number: str | None = None, phone: str | None = None
) -> Party:
    """Change what is given; the rest stays.

    With another number it is somebody else: whoever came in as this party must log in anew and is found by what is certified of them.

    Raises:
        YiwangError: YW-STORE-011 where there is no such party, YW-STORE-010 where it was changed since, YW-PARTY-001 and -002 as :func:`register`.
    """
    party = _live(now.session, party_id)
    if party.version != version:
        raise YiwangError("YW-STORE-010")
    if number is not None:
        number = _checked_number(party.kind, party.id_type_code, number)
        other = find(now.session, crypto, party.id_type_code, number)
        if other is not None and other.id != party_id:
            raise YiwangError("YW-PARTY-002")
        if party.number_digest != _digest(crypto, party.id_type_code, number):
            disown(now, party_id)
    _put(crypto, party, None if name is None else _checked_name(name), number, None if phone is None else _checked_phone(phone))
    party.updated_at = now.at
    now.session.flush()
    changed = [field for field, value in (("name", name), ("number", number), ("phone", phone)) if value is not None]
    now.record("party.amended", _target(party_id), fields=changed)
    return party


def remove(now: Work, party_id: UUID, reason: str) -> None:
    """Take a party out of use; its row stays, its number may be registered anew.

    Raises:
        YiwangError: YW-STORE-011 where there is no such party.
    """
    party = _live(now.session, party_id)
    party.deleted_at, party.deleted_reason = now.at, mask_text(reason)
    now.session.flush()
    now.record("party.removed", _target(party_id), reason=mask_text(reason))


def find(session: Session, crypto: CryptoProvider, id_type_code: str, number: str) -> Party | None:
    """The party with this number, however it is typed; one query by index."""
    digest = _digest(crypto, id_type_code, number)
    query = sa.select(Party).where(Party.id_type_code == id_type_code, Party.number_digest == digest, Party.deleted_at.is_(None))
    return session.scalars(query).one_or_none()


def find_by_phone(session: Session, crypto: CryptoProvider, phone: str, limit: int = 20) -> Sequence[Party]:
    """Parties with this phone; one query by index."""
    query = sa.select(Party).where(Party.phone_digest == crypto.digest("phone", _plain_phone(phone)), Party.deleted_at.is_(None))
    return session.scalars(query.order_by(Party.id).limit(limit)).all()


def masked(crypto: CryptoProvider, party: Party) -> Masked:
    """How a party is shown: no field in clear.

    Raises:
        YiwangError: YW-CRYPTO-001 or -002 where a value cannot be read.
    """
    shown = {field: None if (value := _clear(crypto, party, field)) is None else mask(value) for field, mask in _MASKS.items()}
    return Masked(party.id, party.kind, party.id_type_code, shown["name"] or "", shown["number"] or "", shown["phone"], party.version)


def reveal(now: Work, crypto: CryptoProvider, party_id: UUID, field: Field, reason: str) -> str | None:
    """A field in clear; that it was shown, to whom and why is in the audit.

    Show it only after the unit of work has ended well: else it would be seen and not be written down.

    Raises:
        YiwangError: YW-PARTY-003 without a reason; YW-STORE-011 where there is no such party; YW-CRYPTO-001 or -002 where the value cannot be read.
    """
    if not reason.strip():
        raise YiwangError("YW-PARTY-003", field=_TITLES[field])
    party = _live(now.session, party_id)
    now.record("party.revealed", _target(party_id), field=field, reason=mask_text(reason.strip()))
    return _clear(crypto, party, field)


def _put(crypto: CryptoProvider, party: Party, name: str | None, number: str | None, phone: str | None) -> None:
    if name is not None:
        party.name = crypto.encrypt(name, _place(party, "name"))
    if number is not None:
        party.number = crypto.encrypt(number, _place(party, "number"))
        party.number_digest = _digest(crypto, party.id_type_code, number)
    if phone is not None:
        party.phone = crypto.encrypt(phone, _place(party, "phone"))
        party.phone_digest = crypto.digest("phone", _plain_phone(phone))


def _digest(crypto: CryptoProvider, id_type_code: str, number: str) -> str:
    return crypto.digest(f"number {id_type_code}", number)


def _clear(crypto: CryptoProvider, party: Party, field: str) -> str | None:
    ciphertext = getattr(party, field)
    return None if ciphertext is None else crypto.decrypt(ciphertext, _place(party, field))


def _place(party: Party, field: str) -> Place:
    return Place(Party.__tablename__, field, party.id)


def _target(party_id: UUID) -> str:
    return f"party:{party_id}"


def _live(session: Session, party_id: UUID) -> Party:
    party = session.get(Party, party_id)
    if party is None or party.deleted_at is not None:
        raise YiwangError("YW-STORE-011", what="办事主体", key=party_id)
    return party


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 200:
        raise YiwangError("YW-PARTY-001", field=_TITLES["name"], detail="应为 1 到 200 个字")
    return name


def _checked_number(kind: str, id_type_code: str, number: str) -> str:
    """In normal form."""
    number = normalise(number)
    if id_type_code not in code_tables()["L.id_type"] or (id_type_code == CREDIT) != (kind == "enterprise"):
        raise YiwangError("YW-PARTY-001", field="证件类型", detail="个人应为个人证件，企业应为统一社会信用代码")
    if id_type_code == RESIDENT and not is_resident_id(number):
        raise YiwangError("YW-PARTY-001", field="居民身份证号码", detail="应为 18 位，请检查出生日期和最后一位校验码")
    if id_type_code == CREDIT and not is_credit_code(number):
        raise YiwangError("YW-PARTY-001", field="统一社会信用代码", detail="应为 18 位，请检查最后一位校验码")
    if not re.fullmatch(r"[0-9A-Z()/-]{4,40}", number):
        raise YiwangError("YW-PARTY-001", field=_TITLES["number"], detail="应为 4 到 40 位数字或字母")
    return number


def _checked_phone(phone: str) -> str:
    if not re.fullmatch(r"\+?[0-9]{7,15}", _plain_phone(phone)):
        raise YiwangError("YW-PARTY-001", field=_TITLES["phone"], detail="应为 11 位手机号码，或带区号的固定电话")
    return normalise(phone)


def _plain_phone(phone: str) -> str:
    return re.sub(r"[\s()-]", "", normalise(phone)).removeprefix("+86")
