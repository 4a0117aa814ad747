"""The Data Docs of a run in a browser that reaches nothing: they fetch nothing, and say what was found."""

import re
from pathlib import Path

import duckdb
from lxml import html
from playwright.sync_api import Browser

from quality.suite import Expectation, unexpected_rows


def test_data_docs_fetch_nothing_and_lead_to_every_result(browser: Browser, tmp_path: Path) -> None:
    marts, docs = tmp_path / "masked.duckdb", tmp_path / "docs"
    with duckdb.connect(str(marts)) as connection:
        connection.execute("CREATE SCHEMA marts; CREATE TABLE marts.fct_case AS SELECT i::VARCHAR AS case_number, i % 7 AS n FROM range(70) AS r(i)")
    expectations = [
        Expectation("odd", "fct_case", "t.n = 3", title="办件 <b>不合理</b>", notes="平台设计"),
        Expectation("there", "fct_case", "t.case_number IS NULL", None, "required", ("case_number",), title="办件没有编号"),
    ]
    assert dict(unexpected_rows(marts, expectations, "Asia/Shanghai", docs, "run-1")) == {"odd": 10, "there": 0}
    context = browser.new_context()
    asked: list[str] = []
    problems: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((docs / "index.html").as_uri())
    assert page.locator("tbody tr").count() == 1 and "办件" in page.locator("tbody").inner_text()
    page.locator("tbody a").first.click()
    text = page.locator("body").inner_text()
    assert "办件没有编号" in text and "不合理" in text and "10" in text
    for other in docs.rglob("*.html"):
        page.goto(other.as_uri())
        text = page.locator("body").inner_text()
        left = set(re.findall(r"[A-Za-z]{4,}", re.sub(r"批次标记.*|run-1", "", text.replace("Great Expectations", ""), flags=re.DOTALL)))
        assert left <= {"there", "case"}, left  # names of a rule and, in the table of contents, of a suite
        assert page.evaluate("[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length") == 0
        for link in page.locator("a").all():
            target = str(link.get_attribute("href"))
            assert page.locator(f"[id='{target[1:]}']").count() if target.startswith("#") else (other.parent / target).resolve().is_file(), target
        for scheme, medium in (("dark", "screen"), ("light", "print")):
            page.emulate_media(color_scheme=scheme, media=medium)  # type: ignore[arg-type]
            page.goto(other.as_uri())
        page.emulate_media(color_scheme="light", media="screen")
        # what no browser was asked to show: other widths, states, schemes to come
        content = other.read_text(encoding="utf-8")
        assert not re.search(r"url\(|@import|image-set", content) and content.count("<style>") == 1 and "default-src 'none'" in content
        assert not [value for element in html.document_fromstring(content).iter() for name, value in element.attrib.items() if "//" in value or name == "style"]
    context.close()
    assert problems == [] and all(url.startswith("file:") and url.split("?")[0].endswith(".html") for url in asked)
