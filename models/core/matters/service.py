"""The door to matters: versions in force by day, and the running numbers of cases.

A matter is data: which process handles it, within which limits, by which unit, through which channels. Cases copy what they were
begun on, so a new version changes none of them. What does not belong here: how cases go (processes).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models.core.processes.definition import Process
from models.core.processes.published import published
from models.core.work.service import Work
from models.domain.clock import Limits
from models.domain.codes import code_tables
from models.domain.contracts import Matter as Contract
from models.domain.errors import YiwangError
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import MatterVersion, ProcessVersion, Serial, Unit

IN_COLUMNS = frozenset({"matter_code", "matter_name", "department_code", "region_code", "effective_from", "effective_to", "version", "updated_at", *asdict(Limits())})
"""Fields of the contract that have columns of their own; the rest is the body."""


def _next_number(insert: Any) -> Any:
    giving = insert(Serial.__table__).values(name=sa.bindparam("name"), value=1)
    return giving.on_conflict_do_update(index_elements=[Serial.name], set_={"value": Serial.value + 1}).returning(Serial.value)


_NEXT_NUMBER = _next_number(sqlite.insert), _next_number(postgresql.insert)
_NEWEST = sa.select(ProcessVersion.digest).where(ProcessVersion.process == sa.bindparam("process")).order_by(ProcessVersion.number.desc()).limit(1)
_IN_FORCE = (
    sa.select(MatterVersion)
    .where(
        MatterVersion.code == sa.bindparam("code"), MatterVersion.effective_from <= sa.bindparam("day"),
        sa.or_(MatterVersion.effective_to.is_(None), MatterVersion.effective_to > sa.bindparam("day")),
    )
    .order_by(MatterVersion.number.desc()).limit(1)
)  # fmt: skip


@dataclass(frozen=True)
class NewVersion:
    """A version of a matter that is to be published.

    Attributes:
        code: Implementation code 实施编码.
        name: Name.
        unit_code: Unit that handles its cases.
        process: Code of a published process.
        effective_from: First day on which it is in force.
        limits: Its limits.
        region_code: Region.
        channels: Channels (L.channel) through which one may apply; none: those of the process.
        units: Part in the process → unit that plays it.
        is_commitment: The applicant may promise instead of proving 告知承诺.
        body: Other fields of the contract ``matter`` (GB/T 39046-2020 table 4).
    """

    code: str
    name: str
    unit_code: str
    process: str
    effective_from: date
    limits: Limits = field(default_factory=Limits)
    region_code: str | None = None
    channels: Sequence[str] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    is_commitment: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)


def publish(now: Work, new: NewVersion) -> MatterVersion:
    """Put a version into force; the one before it ends on the day on which this one begins.

    Raises:
        YiwangError: YW-MATTER-001 where a value is wrong; YW-STORE-011 where process or unit does not exist.
    """
    process = newest_process(now.session, new.process)
    _check(now.session, new, process)
    before = now.session.scalars(sa.select(MatterVersion).where(MatterVersion.code == new.code).order_by(MatterVersion.number.desc()).limit(1)).one_or_none()
    if before is not None:
        if new.effective_from <= before.effective_from:
            raise _wrong("生效日期", f"应晚于上一版的生效日期 {before.effective_from}")
        if before.effective_to is None or before.effective_to > new.effective_from:
            before.effective_to, before.updated_at = new.effective_from, now.at
    made = MatterVersion(
        code=new.code, number=before.number + 1 if before else 1, name=new.name.strip(), unit_code=new.unit_code, region_code=new.region_code,
        process=new.process, limits=asdict(new.limits), channels=list(new.channels), units=dict(new.units), is_commitment=new.is_commitment,
        body=dict(new.body), effective_from=new.effective_from, effective_to=None, published_at=now.at, updated_at=now.at,
    )  # fmt: skip
    now.session.add(made)
    now.session.flush()
    now.record("matter.published", f"matter:{made.code}", number=made.number)
    now.announce("matter.published", "matter", made.code, number=made.number)
    return made


def in_force(session: Session, code: str, day: date) -> MatterVersion:
    """The version in force on a day; one query by key.

    Raises:
        YiwangError: YW-STORE-011 where none is.
    """
    found = session.scalars(_IN_FORCE, {"code": code, "day": day}).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="当日有效的事项", key=code)
    return found


def listed(session: Session, day: date, paging: Paging, *, unit_code: str | None = None, name: str | None = None, process: str | None = None) -> Page[MatterVersion]:
    """Versions in force on a day, by code.

    Args:
        session: The transaction.
        day: The day.
        paging: Which page.
        unit_code: Only those that the unit handles.
        name: Only those whose name contains it.
        process: Only those that this process handles.
    """
    query = sa.select(MatterVersion).where(MatterVersion.effective_from <= day, sa.or_(MatterVersion.effective_to.is_(None), MatterVersion.effective_to > day))
    if unit_code is not None:
        query = query.where(MatterVersion.unit_code == unit_code)
    if name is not None:
        query = query.where(MatterVersion.name.contains(name, autoescape=True))
    if process is not None:
        query = query.where(MatterVersion.process == process)
    return page(session, query, [MatterVersion.code, MatterVersion.number], paging)


def names(session: Session, day: date, units: Collection[str] = (), limit: int = 2_000) -> dict[str, str]:
    """Code → name of the matters in force on a day, for people to choose from: of some units, or of all; one query."""
    query = sa.select(MatterVersion.code, MatterVersion.name).where(
        MatterVersion.effective_from <= day, sa.or_(MatterVersion.effective_to.is_(None), MatterVersion.effective_to > day)
    )
    if units:
        query = query.where(MatterVersion.unit_code.in_(sorted(units)))
    return {code: name for code, name in session.execute(query.order_by(MatterVersion.code).limit(limit))}


def versions(session: Session, code: str, paging: Paging, *, is_newest_first: bool = False) -> Page[MatterVersion]:
    """All versions of a matter, the first one first unless told otherwise."""
    return page(session, sa.select(MatterVersion).where(MatterVersion.code == code), [MatterVersion.number], paging, is_descending=is_newest_first)


def newest_process(session: Session, code: str) -> Process:
    """The newest published version of a process.

    Raises:
        YiwangError: YW-STORE-011 where none is published.
    """
    digest = session.scalars(_NEWEST, {"process": code}).one_or_none()
    if digest is None:
        raise YiwangError("YW-STORE-011", what="已发布的流程", key=code)
    return published(session, digest)


def next_case_number(now: Work, unit_code: str, day: date) -> str:
    """``<unit><yyyymmdd><six digits>``: running by unit and day; numbers of transactions that fail are not given again."""
    return f"{unit_code}{day:%Y%m%d}{next_number(now, f'case {unit_code} {day:%Y%m%d}'):06d}"


def next_number(now: Work, name: str) -> int:
    """The next running number under a name; of two at once the second waits for the first to commit."""
    return int(now.session.execute(_NEXT_NUMBER[now.is_postgresql], {"name": name}).scalar_one())


def _check(session: Session, new: NewVersion, process: Process) -> None:
    limits = new.limits
    if not new.name.strip():
        raise _wrong("名称", "不能为空")
    if limits.type_code is not None and limits.type_code not in code_tables()["A.1"]:
        raise _wrong("事项类型", f"没有代码 {limits.type_code}")
    same_unit = limits.promised_limit_unit == limits.statutory_limit_unit
    if same_unit and limits.promised_limit is not None and limits.statutory_limit is not None and limits.promised_limit > limits.statutory_limit:
        raise _wrong("承诺时限", "不能长于法定时限")
    for name, length, unit in (
        ("承诺时限", limits.promised_limit, limits.promised_limit_unit), ("法定时限", limits.statutory_limit, limits.statutory_limit_unit),
    ):  # fmt: skip
        if length is not None and (length < 0 or unit not in code_tables()["L.limit_unit"]):
            raise _wrong(name, "应为不小于 0 的整数，并写明单位")
    if unknown := [code for code in new.channels if code not in code_tables()["L.channel"]]:
        raise _wrong("渠道", f"没有代码 {'、'.join(unknown)}")
    if new.channels and process.channels and not set(new.channels) <= set(process.channels):
        raise _wrong("渠道", "超出流程允许的渠道")
    if new.is_commitment and not process.rules.commitment:
        raise _wrong("告知承诺", f"流程 {process.process} 不支持")
    parts = {step.unit for step in process.steps if step.unit}
    if unknown := sorted(set(new.units) - parts):
        raise _wrong("参与单位", f"流程中没有 {'、'.join(unknown)}")
    wanted = {new.unit_code, *new.units.values()}
    known = set(session.scalars(sa.select(Unit.code).where(Unit.code.in_(wanted), Unit.deleted_at.is_(None))))
    if missing := sorted(wanted - known):
        raise YiwangError("YW-STORE-011", what="机构", key="、".join(missing))
    if own := sorted(IN_COLUMNS & set(new.body)):
        raise _wrong("其他信息", f"{'、'.join(own)} 另有字段")
    try:
        Contract.model_validate({"matter_code": new.code, **new.body})
    except ValidationError as error:
        raise _wrong("其他信息", f"字段 {error.errors()[0]['loc'][0]} 不符合 GB/T 39046-2020 表 4") from error


def _wrong(what: str, detail: str) -> YiwangError:
    return YiwangError("YW-MATTER-001", field=what, detail=detail)
