"""The door of authentication: from credentials to a principal, and what a route demands."""

from serving.auth.credentials import Authenticator, is_loopback
from serving.auth.guard import PUBLIC, PUBLIC_FOLDERS, Guard, is_public, require
from serving.auth.principal import DEVELOPER, ROLES, RUNS_OPERATE, SOURCES_EDIT, WAREHOUSE_READ, Principal

__all__ = [
    "DEVELOPER", "PUBLIC", "PUBLIC_FOLDERS", "ROLES", "RUNS_OPERATE", "SOURCES_EDIT", "WAREHOUSE_READ", "Authenticator", "Guard", "Principal",
    "is_loopback", "is_public", "require",
]
