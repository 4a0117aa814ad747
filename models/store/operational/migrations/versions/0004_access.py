"""Log-in: accounts, sessions, keys of systems."""

from collections.abc import Sequence

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Log-in: accounts, sessions, keys of systems."""
