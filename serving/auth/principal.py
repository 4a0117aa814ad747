"""Who asks, and what the roles may do."""

from dataclasses import dataclass

WAREHOUSE_READ = "warehouse:read"
RUNS_OPERATE = "runs:operate"
SOURCES_EDIT = "sources:edit"

ROLES: dict[str, frozenset[str]] = {
    "viewer": frozenset({WAREHOUSE_READ}),
    "operator": frozenset({WAREHOUSE_READ, RUNS_OPERATE}),
    "administrator": frozenset({WAREHOUSE_READ, RUNS_OPERATE, SOURCES_EDIT}),
}
"""Role → permissions. What is not here is nobody's."""


@dataclass(frozen=True)
class Principal:
    """Somebody whose credentials were checked.

    Attributes:
        name: Name of the token, for the log.
        roles: Keys of :data:`ROLES`.
    """

    name: str
    roles: frozenset[str]

    def may(self, permission: str) -> bool:
        """Whether one of the roles has the permission."""
        return any(permission in ROLES.get(role, ()) for role in self.roles)


DEVELOPER = Principal("developer", frozenset({"administrator"}))
"""The development principal: loopback only, with ``YIWANG_DEV=1``."""
