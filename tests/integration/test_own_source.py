"""The two examples of docs/sources.md, a format and a kind of one's own, as they stand there."""

import re
from pathlib import Path
from typing import Any

import pytest

from models.domain.errors import YiwangError
from pipelines.sources import registry
from tests.support.files import home_in, reader
from tests.support.sync import numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it
DOCS = Path(__file__).parents[2] / "docs" / "sources.md"


def example(title: str) -> dict[str, Any]:
    section = DOCS.read_text(encoding="utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, str(DOCS), "exec"), names)  # noqa: S102 - our own documentation
    return names


def test_a_format_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.formats(), "ini", example("A format of its own")["Ini"])
    (tmp_path / "regions.INI").write_text("[430104]\n区划名称 = 岳麓区\nspare = 1\n[430112]\n[430182]\n区划名称 = 宁乡市\n", encoding="utf-8")
    with reader(tmp_path) as found:
        regions = found.read("*.ini", subject="region", fields={"region_code": "section"})
        assert regions.of("region_code", "region_name", "_file_row") == [("430104", "岳麓区", 1), ("430182", "宁乡市", 3)]
        assert regions.reasons == [(2, "没有任何键")] and regions.unmapped == ["spare"]
        (tmp_path / "regions.INI").write_text("no section\n")
        with pytest.raises(YiwangError, match="不是 INI 文件"):
            found.read("*.ini", subject="region")


def test_a_kind_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.kinds(), "journal", example("A kind of its own")["Journal"])
    home = home_in(tmp_path)
    home.configure({"kind": "journal", "subject": "region", "location": "journal.txt"})
    journal = tmp_path / "journal.txt"
    journal.write_text("1|a\n2|b\n3|", encoding="utf-8")
    assert numbers(home.one()) == {"rows_read": 2, "inserted": 2}
    journal.write_text(journal.read_text() + "c\n1|A\n")
    assert numbers(home.one()) == {"rows_read": 2, "inserted": 1, "updated": 1}
    assert numbers(home.one()) == {}
    assert home.rows("SELECT region_code, region_name FROM raw.region ORDER BY 1") == [("1", "A"), ("2", "b"), ("3", "c")]
