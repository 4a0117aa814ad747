"""The door of authentication: from credentials to a principal, and what a route demands."""

from models.core.policy.service import Principal
from serving.auth.accounts import Accounts
from serving.auth.credentials import Authenticator, is_loopback
from serving.auth.guard import PUBLIC, PUBLIC_FOLDERS, Guard, is_public, require
from serving.auth.principal import RUNS_OPERATE, SOURCES_EDIT, TOKEN_ROLES, WAREHOUSE_READ, developer

__all__ = [
    "PUBLIC", "PUBLIC_FOLDERS", "RUNS_OPERATE", "SOURCES_EDIT", "TOKEN_ROLES", "WAREHOUSE_READ", "Accounts", "Authenticator", "Guard", "Principal",
    "developer", "is_loopback", "is_public", "require",
]
