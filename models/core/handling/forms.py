"""What is declared in a case: kept encrypted, masked for the staff, in clear for whom it is about and on the record.

What does not belong here: whether somebody may see a form at all (:mod:`models.core.handling.rights`).
"""

from typing import Any
from uuid import UUID

import orjson

from models.core.crypto.types import CryptoProvider, Place
from models.core.policy.service import Principal
from models.core.work.service import Work
from models.domain.documents import flaw
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_text, mask_values
from models.store.operational.tables import CaseFile


def sealed(crypto: CryptoProvider, case_id: UUID, form: dict[str, Any] | None) -> str | None:
    """A form as it is kept; None for an empty one.

    Raises:
        YiwangError: YW-CORE-003 for one that cannot be kept as it is.
    """
    if (found := flaw(form)) is not None:
        raise YiwangError("YW-CORE-003", action="保存申请内容", detail=found)
    return crypto.encrypt(orjson.dumps(form).decode(), _place(case_id)) if form else None


def opened(crypto: CryptoProvider, case: CaseFile) -> dict[str, Any] | None:
    """A form in clear: for :func:`shown`, :func:`merged`, and what checks it."""
    return None if case.form is None else orjson.loads(crypto.decrypt(case.form, _place(case.id)))


def shown(crypto: CryptoProvider, case: CaseFile, principal: Principal) -> dict[str, Any] | None:
    """A form as somebody sees it who may: the applicant and the agent as it is, the staff with numbers and phones masked."""
    form = opened(crypto, case)
    return form if form is None or _is_own(case, principal) else mask_values(form)


def merged(crypto: CryptoProvider, case: CaseFile, principal: Principal, form: dict[str, Any]) -> dict[str, Any]:
    """What somebody declares who saw a masked form: a value that came back as it was shown is the one behind it."""
    before = opened(crypto, case)
    if before is None or _is_own(case, principal):
        return form
    merged_form: dict[str, Any] = _behind(form, before)
    return merged_form


def reveal(now: Work, crypto: CryptoProvider, case: CaseFile, reason: str) -> dict[str, Any] | None:
    """A form in clear; that it was shown, to whom and why is in the audit.

    Show it only after the unit of work has ended well: else it would be seen and not be written down.

    Raises:
        YiwangError: YW-PARTY-003 without a reason.
    """
    if not reason.strip():
        raise YiwangError("YW-PARTY-003", field="申请内容")
    now.record("case.revealed", f"case:{case.case_number}", field="form", reason=mask_text(reason.strip()))
    return opened(crypto, case)


def _behind(given: Any, before: Any) -> Any:
    if given == mask_values(before):
        return before
    match given, before:
        case dict(), dict():
            names = {mask_text(name): name for name in before}  # names are masked, too
            return {(known := names.get(name, name)): _behind(value, before[known]) if known in before else value for name, value in given.items()}
        case list(), list():
            return [_behind(value, before[place]) if place < len(before) else value for place, value in enumerate(given)]
        case _:
            return given


def _is_own(case: CaseFile, principal: Principal) -> bool:
    return principal.party_id is not None and principal.party_id in (case.applicant_id, case.agent_id)


def _place(case_id: UUID) -> Place:
    return Place(CaseFile.__tablename__, "form", case_id)
