"""The door of authentication: from credentials to a principal, and what a route demands."""

from models.core.policy.service import Principal
from serving.auth.accounts import COOKIE, Accounts, session_of
from serving.auth.credentials import Authenticator, is_loopback, same_origin
from serving.auth.guard import PUBLIC, PUBLIC_FOLDERS, Guard, is_public, require
from serving.auth.login import Login, Visitor
from serving.auth.principal import RUNS_OPERATE, SOURCES_EDIT, TOKEN_ROLES, WAREHOUSE_READ, developer

__all__ = [
    "COOKIE", "PUBLIC", "PUBLIC_FOLDERS", "RUNS_OPERATE", "SOURCES_EDIT", "TOKEN_ROLES", "WAREHOUSE_READ", "Accounts", "Authenticator", "Guard", "Login",
    "Principal", "Visitor", "developer", "is_loopback", "is_public", "require", "same_origin", "session_of",
]
