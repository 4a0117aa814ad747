"""Data Docs that fetch nothing from outside and say in Chinese what they say.

The pages of Great Expectations load their style sheets and scripts from public servers. What they load is taken out, with what does
nothing without it and all their styles, which load an image where a reader likes dark pages; one small style sheet of our own is put
in, and a policy by which a browser loads nothing, whatever a later version of them names. Their tables are plain HTML, links stay links. Their titles are in English
(its renderers have no translation), and so are exchanged for ours; keys of its own settings stay as it calls them. Their table of
contents is filled by a script, so it is written anew.
"""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lxml import html

from quality.catalogue.subjects import TABLES
from quality.catalogue.words import title_of

_NOTHING = "default-src 'none'; style-src 'unsafe-inline'"
"""Content security policy of every page: nothing but its own style sheet."""
_FETCHING = "//script | //link | //style | //img | //iframe | //source | //embed | //object | //footer | //nav//*[contains(@class, 'navbar-brand')]"
_DEAD = "//div[contains(@class, 'card')][div[contains(@class, 'card-header')]/strong[normalize-space() = 'Actions']] | //form | //button"
_WORDS = {
    "Home": "目录", "Overview": "概况", "Table of Contents": "本页目录", "Statistics": "统计", "Info": "说明", "Notes": "备注", "Notes:": "备注：", "Status": "结果", "Status:": "结果：",
    "Expectation": "检查", "Observed Value": "不符的行", "Succeeded": "通过", "Failed": "有不符", "Expectation Suite:": "检查清单：", "Expectation Suite": "检查清单", "Expectation Suite Name": "检查清单",
    "Expectation Validation Result": "检查结果", "Evaluates whether a batch of data matches expectations.": "各项检查在这些数据上查到了什么。",
    "A collection of Expectations defined for batches of data.": "对这些数据所做的各项检查。", "Table-Level Expectations": "对整个数据表的检查", "Evaluated Expectations": "检查",
    "Successful Expectations": "通过", "Unsuccessful Expectations": "有不符", "Success Percent": "通过率", "Show more info...": "运行与数据", "Great Expectations Version": "Great Expectations 版本",
    "Run Name": "运行", "Run Time": "时间（协调世界时）", "Batch Markers": "批次标记（Great Expectations 的原名）", "Batch Spec": "批次参数（Great Expectations 的原名）",
    "Data documentation compiled by Great Expectations": "质量检查明细",
}  # fmt: skip
_PHRASES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"Validations / (\w+) / .*"), lambda match: f"检查结果 / {_called(match[1])}"),
    (re.compile(r"Expectations / (\w+)"), lambda match: f"检查清单 / {_called(match[1])}"),
    (re.compile(r"Data asset: (\w+)"), lambda match: f"数据：{_called(match[1])}"),
    (re.compile(r"This Expectation suite currently contains (\d+) total Expectations across \d+ columns\."), lambda match: f"共 {match[1]} 项检查。"),
)
_CHANGED = "_changed"


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
        path.write_text(_local(path.read_text(encoding="utf-8"), style, path.stem.removeprefix("marts-").removesuffix(_CHANGED)), encoding="utf-8")
    rows = []
    for one in contents:
        target = next((folder / "validations" / one.name).rglob("*.html"))
        rows.append(
            f'<tr><td><a href="{quote(target.relative_to(folder).as_posix())}">{_called(one.name)}</a></td><td><code>{escape(one.name)}</code></td>'
            f"<td>{one.evaluated}</td><td>{one.evaluated - one.passed}</td></tr>"
        )
    (folder / "index.html").write_text(
        f"""<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_NOTHING}"><title>质量检查明细</title><style>{style}</style></head><body>
<h1>质量检查明细</h1><p>运行 {escape(run_name)}。各页由 Great Expectations 生成，不从外部加载任何内容；其中的批次参数、批次标记是它自己的设置，保留英文原名。</p>
<table><thead><tr><th>数据表</th><th>名称</th><th>检查</th><th>不符</th></tr></thead><tbody>{"".join(rows)}</tbody></table></body></html>
""",
        encoding="utf-8",
    )


def _local(page: str, style: str, table: str) -> str:
    document: Any = html.document_fromstring(page)
    for element in document.xpath(_FETCHING) + document.xpath(_DEAD):
        element.drop_tree()
    for element in document.iter():
        for name in [name for name in element.attrib if name.startswith("on") or name == "style"]:
            del element.attrib[name]
        if element.tag == "a" and (element.get("data-toggle") or re.match(r"(?:[a-z]+:)?//", element.get("href", ""), re.IGNORECASE)):
            element.tag = "span"  # what it opened is open, or lies outside
            del element.attrib["href"]
        element.text, element.tail = _said(element.text, table), _said(element.tail, table)
    document.set("lang", "zh-CN")
    policy: Any = html.Element("meta", {"http-equiv": "Content-Security-Policy", "content": _NOTHING})
    sheet: Any = html.Element("style")
    sheet.text = style
    head = document.find("head")
    head.insert(0, policy)
    head.append(sheet)
    return str(html.tostring(document, encoding="unicode", doctype="<!DOCTYPE html>"))


def _said(text: str | None, table: str) -> str | None:
    words = " ".join((text or "").split())
    if not words:
        return text
    for pattern, phrase in _PHRASES:
        if match := pattern.fullmatch(words):
            return phrase(match)
    if words in _WORDS:
        return _WORDS[words]
    if words.removesuffix(_CHANGED) in TABLES or words == "quality_violation":
        return _called(words)
    return title_of(table, words) if re.fullmatch(r"[a-z]+(?:_[a-z]+)+", words) and title_of(table, words) != words else text


def _called(suite: str) -> str:
    table = suite.removesuffix(_CHANGED)
    return (TABLES[table].title if table in TABLES else "问题台账") + ("（有变化的分区）" if suite.endswith(_CHANGED) else "")
