"""The rooms are the checkout's, and every test file stands under a known folder."""

from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ["models", "graph", "ai", "quality", "pipelines", "serving"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_imported_from_the_checkout(room: str) -> None:
    spec = find_spec(room)
    assert spec is not None and spec.origin is not None
    assert Path(spec.origin).resolve() == ROOT / room / "__init__.py"


def test_the_dbt_folder_holds_no_python() -> None:
    assert not [p for p in (ROOT / "dbt").rglob("*.py") if "target" not in p.parts]


def test_no_sql_stands_in_serving() -> None:
    for path in (ROOT / "serving").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "SELECT " not in text and "duckdb" not in text, f"{path.relative_to(ROOT)}: SQL belongs in models/store"
