"""Where sources are: what of it people may see, and which environment variables a configuration may name.

Pure text. What does not belong here: reading a source, and which folders may be read (``pipelines.configuration``).
"""

import re
from collections.abc import Iterable

from models.domain.settings import Settings

PREFIX = "YIWANG_SOURCE_"
"""Environment variables that are there for sources."""
PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
HIDDEN = "***"
_USER = re.compile(r"(?<=://)[^/@\s]*@")
_VALUE = re.compile(r"([?&;#][^=&;#\s]+)=[^&;#\s]*")
_PAIR = re.compile(r"(?i)\b(password|passwd|pwd|token|secret|key|apikey|api_key)\s*=\s*[^\s;&]+")


def shown(location: str) -> str:
    """A location without what would let somebody in: user and password, values of a query, ``password=…`` pairs.

    Placeholders stay as they are: their values are never put in.
    """
    return _PAIR.sub(rf"\1={HIDDEN}", _VALUE.sub(rf"\1={HIDDEN}", _USER.sub(f"{HIDDEN}@", location)))


def variables(settings: Settings, current: str, environment: Iterable[str]) -> frozenset[str]:
    """Environment variables that a file edited by page may name.

    Those that are there for sources, those that the setting lists, those that the file in service names already. The
    platform's own, which hold its secrets, are never among them.

    Args:
        settings: ``source_variables``.
        current: Content of the file in service.
        environment: Names of the variables that are set.
    """
    listed = {name.strip() for name in settings.source_variables.split(",") if name.strip()}
    offered = {name for name in environment if name.startswith(PREFIX)}
    return frozenset(name for name in listed | offered | set(PLACEHOLDER.findall(current)) if _may_be_named(name))


def _may_be_named(name: str) -> bool:
    own = {f"YIWANG_{field.upper()}" for field in Settings.model_fields}
    return name not in own and (name.startswith(PREFIX) or not name.startswith(("YIWANG_", "DAGSTER_", "DBT_")))
