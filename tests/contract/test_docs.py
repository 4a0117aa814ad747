"""Documentation keeps up with code."""

import re
from pathlib import Path

import pytest

from docs import generate

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", generate.PAGES)
def test_a_reference_page_is_up_to_date(page: str) -> None:
    written = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    assert written == generate.HEAD + generate.PAGES[page](), "run `make docs` and commit"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named and named <= targets


def test_every_link_in_the_docs_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_no_path_of_a_machine_stands_in_the_project() -> None:
    suffixes = {".py", ".md", ".sql", ".yml", ".toml", ".sh", ""}
    for path in ROOT.rglob("*"):
        relative = path.relative_to(ROOT)
        if path.suffix in suffixes and path.is_file() and not relative.parts[0].startswith(".") and relative.parts[0] not in {"data", "node_modules"}:
            assert not re.search(r"(?<![\w.])/wor[k]/", path.read_text(encoding="utf-8", errors="ignore")), relative
