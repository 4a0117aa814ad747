"""Data Docs that fetch nothing from outside.

The pages of Great Expectations load their style sheets and scripts from public servers. What they load is taken out and
one small style sheet of our own put in; their tables are plain HTML, links stay links. Their table of contents is filled
by a script, so it is written anew.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from quality.catalogue.subjects import TABLES

_OUTSIDE = r"""["']?\s*(?:https?:)?//[^"'\s>]*["']?"""
_FETCHED = re.compile(rf"<(?:link|img|iframe|source|embed)\b[^>]*\b(?:src|href)\s*=\s*(?:{_OUTSIDE}|[^>]*\bstatic/)[^>]*>", re.IGNORECASE)
_SCRIPT = re.compile(r"<script\b.*?</script\s*>", re.IGNORECASE | re.DOTALL)
_HEAD_END = re.compile(r"</head>", re.IGNORECASE)


@dataclass(frozen=True)
class Validated:
    """One suite in the table of contents.

    Attributes:
        name: The suite's name.
        passed: Expectations that were met.
        evaluated: Expectations that it has.
    """

    name: str
    passed: int
    evaluated: int


def make_local(folder: Path, run_name: str, contents: Sequence[Validated]) -> None:
    """Takes out of the pages in a folder whatever a browser would fetch, and writes a table of contents that needs no script.

    Args:
        folder: A Data Docs site, as Great Expectations has built it.
        run_name: The run.
        contents: Its suites.
    """
    style = files("quality").joinpath("templates", "data_docs.css").read_text(encoding="utf-8")
    shutil.rmtree(folder / "static", ignore_errors=True)
    for path in folder.rglob("*.html"):
        page = _SCRIPT.sub("", _FETCHED.sub("", path.read_text(encoding="utf-8")))
        path.write_text(_HEAD_END.sub(lambda _: f"<style>{style}</style></head>", page, count=1), encoding="utf-8")
    rows = []
    for one in contents:
        target = next((folder / "validations" / one.name).rglob("*.html"))
        title = TABLES[one.name.removesuffix("_changed")].title if one.name.removesuffix("_changed") in TABLES else "问题台账"
        changed = "（有变化的分区）" if one.name.endswith("_changed") else ""
        rows.append(
            f'<tr><td><a href="{quote(target.relative_to(folder).as_posix())}">{title}{changed}</a></td><td><code>{escape(one.name)}</code></td>'
            f"<td>{one.evaluated}</td><td>{one.evaluated - one.passed}</td></tr>"
        )
    (folder / "index.html").write_text(
        f"""<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>质量检查明细</title><style>{style}</style></head><body>
<h1>质量检查明细</h1><p>运行 {escape(run_name)}。各页由 Great Expectations 生成，不从外部加载任何内容。</p>
<table><thead><tr><th>数据表</th><th>名称</th><th>检查</th><th>不符</th></tr></thead><tbody>{"".join(rows)}</tbody></table></body></html>
""",
        encoding="utf-8",
    )
