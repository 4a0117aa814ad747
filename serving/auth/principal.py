"""Permissions that the platform's own pages ask for, and who stands for whom where no account is needed."""

from models.core.policy.service import Grant, Principal, policy

WAREHOUSE_READ = "warehouse:read"
RUNS_OPERATE = "runs:operate"
SOURCES_EDIT = "sources:edit"

TOKEN_ROLES = frozenset({"viewer", "operator", "administrator"})
"""Roles that a token of the settings may have; all others are held by accounts and keys of systems."""


def developer() -> Principal:
    """The development principal: loopback only, with ``YIWANG_DEV=1``; holds every role everywhere."""
    return Principal("developer", frozenset(Grant(role) for role in policy().roles))
