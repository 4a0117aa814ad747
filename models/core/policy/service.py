"""The door to rights: who may do what, to which rows, seeing which fields. Default deny.

The rules are data (``policy.yml``); here they are checked at load and become an answer, and the answer a condition of a query. An own
evaluator of a hundred lines rather than pycasbin, since rows must become SQL and fields lists of names, of which casbin answers neither.
What does not belong here: who somebody is (``serving.auth``), and what a step of a process asks for (processes).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Self
from uuid import UUID

import sqlalchemy as sa
import yaml
from pydantic import BaseModel, ConfigDict, model_validator
from sqlalchemy.orm import Session, aliased

from models.domain.errors import YiwangError
from models.store.operational.tables import Unit

Reach = Literal["own", "unit", "tree", "all"]
EVERYWHERE = ""
"""The unit of a grant that holds on the whole platform."""


@dataclass(frozen=True)
class Grant:
    """A role that somebody holds.

    Attributes:
        role: Key of :attr:`Policy.roles`.
        unit_code: Unit in which it is held; :data:`EVERYWHERE` for roles of the platform.
    """

    role: str
    unit_code: str = EVERYWHERE


@dataclass(frozen=True)
class Principal:
    """Somebody whose credentials were checked.

    Attributes:
        name: Who, for log and audit: ``staff:<id>``, ``party:<id>``, ``key:<id>``, ``token:<name>``.
        grants: Roles held.
        party_id: The party that somebody is, for citizens and enterprises.
        unit_code: Unit that somebody belongs to.
    """

    name: str
    grants: frozenset[Grant] = field(default_factory=frozenset)
    party_id: UUID | None = None
    unit_code: str = EVERYWHERE

    def may(self, permission: str) -> bool:
        """Whether one of the roles has the permission, for whatever rows."""
        return permission in policy().permissions and policy().reaches(self, permission) != []


@dataclass(frozen=True)
class Access:
    """What a principal may do of one permission.

    Attributes:
        principal: Who.
        permission: What.
        is_everywhere: All rows.
        units: Units whose rows it reaches.
        trees: Units whose rows, and those of all units below, it reaches.
        is_own: Rows of the principal's own party.
    """

    principal: Principal
    permission: str
    is_everywhere: bool
    units: frozenset[str]
    trees: frozenset[str]
    is_own: bool

    def rows(self, unit: Any = None, *parties: Any) -> sa.ColumnElement[bool]:
        """The condition under which a row is reached.

        Args:
            unit: Column with the row's unit; None where rows have none.
            *parties: Columns with the parties that a row belongs to.
        """
        if self.is_everywhere:
            return sa.true()
        reached: list[sa.ColumnElement[bool]] = []
        if unit is not None and self.units:
            reached.append(unit.in_(sorted(self.units)))
        if unit is not None and self.trees:
            top = aliased(Unit)
            reached.append(unit.in_(sa.select(Unit.code).join(top, sa.and_(top.code.in_(sorted(self.trees)), sa.func.substr(Unit.path, 1, sa.func.length(top.path)) == top.path))))
        if self.is_own and self.principal.party_id is not None:
            reached += [party == self.principal.party_id for party in parties]
        return sa.or_(*reached) if reached else sa.false()

    def covers(self, session: Session, unit_code: str | None, *parties: UUID | None) -> bool:
        """Whether a row with this unit and these parties is reached; asks the database only for trees."""
        if self.is_everywhere or unit_code in self.units or unit_code in self.trees:
            return True
        if self.is_own and self.principal.party_id is not None and self.principal.party_id in parties:
            return True
        return unit_code is not None and any(below(session, top, unit_code) for top in self.trees)

    def seeing(self, name: str) -> "Access":
        """The rows in which a field (``case.form``) is shown: those that are reached in a role which sees it, and no other.

        Raises:
            KeyError: The policy does not know the field: a fault of the program.
        """
        blind = policy().hidden[name]
        found = policy().reaches(self.principal, self.permission)
        return _access(self.principal, self.permission, [each for each in found if each[0].role not in blind])


def below(session: Session, top: str, unit_code: str) -> bool:
    """Whether a unit is another one or stands below it."""
    path = session.scalar(sa.select(Unit.path).where(Unit.code == unit_code))
    return path is not None and f"/{top}/" in f"/{path}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Role(_Strict):
    """A role; see ``policy.yml``."""

    title: str
    of: Literal["unit", "platform"]
    excludes: tuple[str, ...] = ()


class Permission(_Strict):
    """A permission; see ``policy.yml``."""

    title: str
    who: dict[str, Reach]


class Policy(_Strict):
    """The whole of the rules."""

    roles: dict[str, Role]
    systems: tuple[str, ...] = ()
    permissions: dict[str, Permission]
    hidden: dict[str, tuple[str, ...]] = {}

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        named = {role for permission in self.permissions.values() for role in permission.who}
        named |= {role for roles in self.hidden.values() for role in roles} | {other for role in self.roles.values() for other in role.excludes}
        named |= set(self.systems)
        if unknown := sorted(named - set(self.roles)):
            raise ValueError(f"没有这些角色：{'、'.join(unknown)}")
        for name, permission in self.permissions.items():
            for role, reach in permission.who.items():
                if reach in ("unit", "tree") and self.roles[role].of != "unit":
                    raise ValueError(f"{name}：角色 {role} 不属于机构，不能写 {reach}")
        for name, excluding in self.roles.items():
            if one_way := [other for other in excluding.excludes if name not in self.roles[other].excludes]:
                raise ValueError(f"角色 {name} 与 {'、'.join(one_way)} 的互斥须两边都写")
        return self

    def reaches(self, principal: Principal, permission: str) -> list[tuple[Grant, Reach]]:
        """The grants that have the permission, and how far.

        Raises:
            KeyError: There is no such permission: a fault of the program.
        """
        who = self.permissions[permission].who
        return [(grant, who[grant.role]) for grant in sorted(principal.grants, key=lambda g: (g.role, g.unit_code)) if grant.role in who]

    def access(self, principal: Principal, permission: str) -> Access:
        """What a principal may do of a permission.

        Raises:
            YiwangError: YW-POLICY-001 for nothing at all.
        """
        found = self.reaches(principal, permission)
        if not found:
            raise YiwangError("YW-POLICY-001", action=self.permissions[permission].title)
        return _access(principal, permission, found)

    def roles_in(self, session: Session, principal: Principal, permission: str, unit_code: str) -> frozenset[str]:
        """Roles of the permission that a principal holds for a unit: those that a step of a process is judged by."""
        reached = self.reaches(principal, permission)
        near = {g.role for g, reach in reached if reach in ("own", "all") or g.unit_code in (EVERYWHERE, unit_code)}
        above = {g for g, reach in reached if reach == "tree" and g.role not in near}
        return frozenset(near | {g.role for g in above if below(session, g.unit_code, unit_code)})

    def conflicts(self, held: Iterable[str], role: str) -> list[str]:
        """Roles held that exclude another one."""
        return sorted(set(held) & set(self.roles[role].excludes))


def _access(principal: Principal, permission: str, found: Sequence[tuple[Grant, Reach]]) -> Access:
    everywhere = any(reach == "all" or (reach in ("unit", "tree") and grant.unit_code == EVERYWHERE) for grant, reach in found)
    return Access(
        principal, permission, everywhere, frozenset(g.unit_code for g, reach in found if reach == "unit"),
        frozenset(g.unit_code for g, reach in found if reach == "tree"), any(reach == "own" for _, reach in found),
    )  # fmt: skip


def role_title(role: str) -> str:
    """What people call a role; its name where the policy does not know it."""
    return policy().roles[role].title if role in policy().roles else role


@cache
def policy() -> Policy:
    """The rules that ship.

    Raises:
        pydantic.ValidationError: They contradict themselves; a test sees it before anybody else does.
    """
    return Policy.model_validate(yaml.safe_load((files("models.core.policy") / "policy.yml").read_text(encoding="utf-8")))
