"""One entry of a ``sources.yml`` is taken out and put back; everything around it stays as it was."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import YiwangError
from serving.web.sources_text import content_of, entries, form_of, replace

FILE = """\
# what the city sends
as_of: 2026-06-30   # a day
sources:
- name: city        # the hall's export
  subject: case
  location: "uploads/*.csv"
  fields:
    case_number: BJBH   # their number
    channel_code: {column: QD, codes: {窗口: "1", 未知: ""}}

# reviews come later
- name: city
  subject: review
  location: reviews/*.csv
# the end
"""


def loaded(text: str) -> dict[str, object]:
    content = yaml.load(text, yaml.BaseLoader)  # noqa: S506
    assert isinstance(content, dict)
    return content


def test_entries_are_what_the_file_says() -> None:
    found = entries(FILE)
    assert [entry.content for entry in found] == loaded(FILE)["sources"]
    assert [FILE[entry.start : entry.end].splitlines()[-1].strip() for entry in found] == ['channel_code: {column: QD, codes: {窗口: "1", 未知: ""}}', "location: reviews/*.csv"]


@pytest.mark.parametrize("number", [0, 1])
def test_comments_around_an_entry_stay(number: int) -> None:
    changed = replace(FILE, number, {"name": "new", "subject": "case", "location": "x.csv", "fields": {"case_number": {"column": "号", "codes": {"01": "1"}}}})
    expected = loaded(FILE)
    expected["sources"][number] = {"name": "new", "subject": "case", "location": "x.csv", "fields": {"case_number": {"column": "号", "codes": {"01": "1"}}}}  # type: ignore[index]
    assert loaded(changed) == expected
    for comment in ("# what the city sends", "# a day", "# reviews come later", "# the end"):
        assert comment in changed


@pytest.mark.parametrize("text", [FILE, FILE.rstrip(), "", "as_of: 2026-06-30\n", "as_of: 2026-06-30"])
def test_an_entry_is_added_at_the_end(text: str) -> None:
    content = {"name": "more", "subject": "matter", "location": "m.csv", "fields": {"matter_code": "a"}}
    added = loaded(replace(text, None, content))
    before = loaded(text).get("sources", []) if text else []
    assert added["sources"] == [*before, content]  # type: ignore[misc]


def test_indented_and_flow_lists_are_edited_too() -> None:
    indented = "sources:\n    - name: a\n      subject: case\n      location: a\n    - name: b\n      subject: case\n      location: b\n"
    flow = "sources: [{name: a, subject: case, location: a}, {name: b, subject: case, location: b}]\n"
    new = {"name": "c", "subject": "case", "location": "c"}
    for number in (0, 1):
        for text in (indented, flow):
            assert loaded(replace(text, number, new))["sources"][number] == new  # type: ignore[index]
    assert [entry.content["name"] for entry in entries(flow)] == ["a", "b"]
    for text in (indented, flow):
        assert loaded(replace(text, None, new))["sources"][2] == new  # type: ignore[index]


@pytest.mark.parametrize("text", ["- [", "sources: x", "[]", "sources: [1]", "sources: [&a {name: x}, *a]", "{" * 5000])
def test_what_cannot_be_taken_apart_has_no_entries(text: str) -> None:
    assert entries(text) == []


def test_a_form_and_back() -> None:
    for entry in entries(FILE):
        form, rest = form_of(entry.content)
        assert content_of(form, rest) == entry.content
    assert content_of({"name": "a", "key": "x，y , z"}, "") == {"name": "a", "key": ["x", "y", "z"]}


@pytest.mark.parametrize(("rest", "says"), [("fields: [", "不是合法的 YAML"), ("- 1", "应为键值"), ("name: b", "已有专门的输入框"), ("x: {", "第 1 行")])
def test_a_wrong_rest_is_told(rest: str, says: str) -> None:
    with pytest.raises(YiwangError, match=says):
        content_of({"name": "a"}, rest)


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x85\u2028\u2029\ufeff"), min_size=1, max_size=12)


@given(st.dictionaries(WORDS, st.one_of(WORDS, st.dictionaries(WORDS, WORDS, min_size=1, max_size=3), st.lists(WORDS, min_size=1, max_size=3)), min_size=1, max_size=5), st.sampled_from([0, 1, None]))
def test_whatever_is_written_is_read_back(content: dict[str, object], number: int | None) -> None:
    changed = loaded(replace(FILE, number, content))
    sources = changed["sources"]
    assert isinstance(sources, list)
    assert sources[2 if number is None else number] == content
    others = [entry.content for place, entry in enumerate(entries(FILE)) if place != number]
    assert [source for place, source in enumerate(sources) if place != (2 if number is None else number)] == others
