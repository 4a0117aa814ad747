"""Every fault of a ``sources.yml`` is told, and what a page-edited one may not name is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.configuration import service
from pipelines.configuration.service import attempt, check, entries, summary
from pipelines.sources.config import SourceFile
from pipelines.sources.files import list_files
from pipelines.sources.kinds.file import FileSource

Check = Callable[..., list[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "uploads").mkdir(parents=True)
    (home / "uploads" / "cases.csv").write_text("办件编号,收件时间,联系人手机号码,多余\nA-1,2026-06-01,13800138000,x\nA-2,2026年13月,13900139000,y\n", encoding="utf-8")
    (home / "work").mkdir()
    (home / "digest.key").write_text("a secret of the platform")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "cases.csv").write_text("办件编号\nB-1\n", encoding="utf-8")
    return home


@pytest.fixture
def page(home: Path) -> Check:
    """Faults of a file with these sources, as the page has them checked."""

    def faults(*sources: dict[str, object], current: str = "", **settings: str) -> list[str]:
        return check(Settings(home=home, **settings), file(*sources), home, current)  # type: ignore[arg-type]

    return faults


def file(*sources: dict[str, object]) -> str:
    listed = [{"name": "city", "subject": "case"} | source for source in sources]
    return yaml.safe_dump({"sources": listed}, allow_unicode=True)


def test_a_good_file_has_no_fault(page: Check) -> None:
    assert page({"location": "uploads/*.csv"}) == []


def test_every_fault_is_told_with_source_and_field(home: Path) -> None:
    text = file(
        {"name": "City", "location": "a.csv", "bogus": "1", "fields": {"case_number": "a", "nope": "b"}},
        {"name": "two", "subject": "casex", "location": "b.csv"},
        {"name": "three", "location": "c.csv", "zone": "Mars"},
    )
    assert check(Settings(home=home), text, home) == [
        "第 1 个来源“City”的 name：只能用小写字母、数字和下划线，以字母开头",
        "第 1 个来源“City”的 bogus：没有这个设置",
        "第 1 个来源“City”：case 没有字段“nope”",
        next(fault for fault in check(Settings(home=home), text, home) if "第 2 个来源“two”的 subject：没有“casex”这个主题" in fault),
        "第 3 个来源“three”的 zone：没有“Mars”这个时区",
    ]


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [("name", "a" * 41, "最多 40 个字"), ("look_back", "3w", "3d、12h 或 30m"), ("fresh_within", "1w", "1d 或 6h"), ("vanished_limit", "2", "应不大于 1"), ("delimiter", ";;", "最多 1 个字")],
)
def test_a_fault_names_the_rule(home: Path, key: str, value: str, rule: str) -> None:
    (found,) = check(Settings(home=home), file({"location": "a.csv", key: value}), home)
    assert f"的 {key}：" in found and rule in found


def test_a_source_that_stands_twice_is_told_beside_other_faults(home: Path) -> None:
    twice = {"name": "two", "location": "a.csv"}
    found = check(Settings(home=home), file({"location": "a.csv", "zone": "Mars"}, twice | {"kind": "nothing"}, twice), home)
    assert len(found) == 3 and "sources：来源与主题重复：two/case" in found
    assert check(Settings(home=home), file(twice, twice), home) == ["sources：来源与主题重复：two/case"]


@pytest.mark.parametrize("text", ["", "sources: [", "- 1", "sources: 1", "sources: []", "sources:\n- name: a\n  name: b", "\t", "{" * 300, "a: &a [*a, *a]"])
def test_what_is_no_configuration_is_told_in_a_sentence(home: Path, text: str) -> None:
    found = check(Settings(home=home), text, home, "")
    assert found and all(fault and "Traceback" not in fault for fault in found)


@pytest.mark.parametrize(
    "location",
    ["/etc/passwd", "../outside/cases.csv", "uploads/../../outside/*.csv", "/etc/*", "/**/passwd", "~root/x.csv", "uploads/../../*/cases.csv", "file:///etc/passwd", "https://evil.example/x.csv", "s3://bucket/x.parquet"],
)
def test_files_outside_the_folders_are_refused(page: Check, location: str) -> None:
    found = page({"location": location, "format": "csv"})
    assert len(found) == 1 and "location" in found[0] and ("不在允许的目录内" in found[0] or "不能是网络地址" in found[0] or "平台自己的文件" in found[0])


@pytest.mark.parametrize(
    "location",
    [
        ".", "./", "..", "**/*", "*", "*.csv", "digest.key", "./digest.key", "*.key", "work", "work/warehouse.duckdb", "uploads/../session.key", "w*/*.duckdb", "[a-z]*/x.csv", "sources.yml",
        "a file that a later version has", "{home}/yiwang.toml", "{home}/**/*.csv", "{home}", "{home}/..", "~/x.csv",
    ],
)  # fmt: skip
def test_the_platforms_own_files_are_refused(page: Check, home: Path, location: str) -> None:
    (found,) = page({"location": location.format(home=home), "format": "csv"})
    assert "不在允许的目录内" in found and str(home / "uploads") in found


@pytest.mark.parametrize("location", ["/", "/**", "{above}", "{above}/**/*.csv", "{above}/*/x*.csv", "{above}/h*/wor[k]/*"])
def test_a_folder_that_holds_the_home_does_not_open_it(page: Check, home: Path, location: str) -> None:
    (found,) = page({"location": location.format(above=home.parent), "format": "csv"}, source_roots=f"/:{home.parent}:{home}")
    assert "平台自己的文件" in found
    for own in (home, home / "work" / "x.csv", home / "uploads" / ".." / "digest.key"):
        assert page({"location": str(own)}, source_roots=f"/:{home.parent}:{home}") != []


@pytest.mark.parametrize("location", ["uploads", "sample/*.parquet", "uploads/*.csv", "uploads/**/*.csv", "uploads/cases.csv", "{home}/uploads/*", "uploads/later/*.parquet", "{home}/../outside/*.csv", "../outside", "../*.csv"])
def test_what_is_for_sources_may_be_read(page: Check, home: Path, location: str) -> None:
    roots = str(home.parent / "outside") if "outside" in location else str(home.parent)
    assert page({"location": location.format(home=home), "format": "csv"}, source_roots=roots) == []
    assert page({"location": "inbox/*.csv"}) != [] and page({"location": "inbox/*.csv"}, source_roots="inbox") == []


LINKED = ["uploads/passwd.csv", "uploads/*.csv", "uploads", "uploads/.", "uploads/elsewhere/cases.csv", "uploads/elsewhere/*.csv", "uploads/*/cases.csv", "uploads/elsewhere", "uploads/key.csv"]


@pytest.mark.parametrize("location", LINKED)
def test_a_link_that_leads_outside_is_refused(page: Check, home: Path, location: str) -> None:
    (home / "uploads" / "passwd.csv").symlink_to("/etc/passwd")
    (home / "uploads" / "elsewhere").symlink_to(home.parent / "outside")
    (home / "uploads" / "key.csv").symlink_to(home / "digest.key")
    (home / "uploads" / "circle").symlink_to("circle")
    (found,) = page({"location": location})
    assert "不在允许的目录内" in found or "允许的目录之外" in found


@pytest.mark.parametrize("location", ["uploads", "uploads/*.csv", "uploads/cases.csv"])
def test_a_link_that_comes_between_check_and_reading_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch, location: str) -> None:
    def check_then_link(*_: object) -> list[str]:
        (home / "uploads" / "cases.csv").unlink()
        (home / "uploads" / "cases.csv").symlink_to("/etc/passwd")
        return []

    text = file({"location": location})
    monkeypatch.setattr(service, "check", check_then_link)
    with pytest.raises(YiwangError, match="允许的目录之外") as caught:
        attempt(Settings(home=home), text, home, "city", "case", current="")
    assert "root" not in caught.value.message


def test_what_was_checked_is_what_is_opened(home: Path) -> None:
    """A link within the folder is followed to the file that was looked at, whatever becomes of the link."""
    link = home / "uploads" / "link.csv"
    link.symlink_to(home / "uploads" / "cases.csv")
    source = FileSource(name="city", subject="case", location="uploads/link.csv")
    (listed,) = list_files(SourceFile(sources=[source], folder=home), source, lambda real: True)
    assert (listed.path, listed.shown) == (home / "uploads" / "cases.csv", "uploads/link.csv")


def test_the_operator_offers_other_folders(page: Check, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = home.parent / "outside"
    assert page({"location": f"{outside}/cases.csv"}, source_roots=f"{outside}:{home}") == []
    assert page({"location": "inbox/cases.csv"}, source_roots=str(outside)) != []
    monkeypatch.setenv("YIWANG_SOURCE_EXPORT", str(outside))
    assert page({"location": "${YIWANG_SOURCE_EXPORT}/cases.csv"}) == []
    assert page({"location": "${YIWANG_SOURCE_EXPORT}/../../*.csv"}) != []


def test_a_location_that_is_in_service_stays(page: Check, home: Path) -> None:
    there = {"location": str(home.parent / "outside" / "cases.csv"), "format": "csv"}
    assert page(there, current=file(there)) == []
    assert page(there | {"cursor": "updated_at"}, current=file(there)) == []
    assert page(there | {"location": "/etc/passwd"}, current=file(there)) != []


@pytest.mark.parametrize("place", ["location", "owner", "fields"])
@pytest.mark.parametrize("name", ["YIWANG_SESSION_KEY", "YIWANG_DIGEST_KEY", "YIWANG_API_TOKENS", "AWS_SECRET_ACCESS_KEY", "HOME"])
def test_secret_variables_are_refused(page: Check, monkeypatch: pytest.MonkeyPatch, name: str, place: str) -> None:
    if name != "YIWANG_API_TOKENS":
        monkeypatch.setenv(name, "the value of a secret variable, long enough")
    value: object = f"${{{name}}}/cases.csv"
    found = page({"location": "uploads/cases.csv"} | {place: {"case_number": value} if place == "fields" else value})
    assert any(name in fault and "不能使用环境变量" in fault for fault in found)
    assert "the value of" not in str(found)


@pytest.mark.parametrize("kind", ["sql", "rest", "anything"])
@pytest.mark.parametrize(
    "location",
    ["postgresql://evil.example/x", "sqlite:////etc/x.db", "https://evil.example/?k=${YIWANG_SOURCE_KEY}", "${YIWANG_SOURCE_DB}@evil.example/x", "${YIWANG_SOURCE_DB}/../x", "${YIWANG_SOURCE_DB}//evil.example", "file:///etc/passwd"],
)
def test_addresses_come_from_the_environment_only(page: Check, monkeypatch: pytest.MonkeyPatch, kind: str, location: str) -> None:
    monkeypatch.setenv("YIWANG_SOURCE_DB", "https://db.city")
    monkeypatch.setenv("YIWANG_SOURCE_KEY", "k")
    assert any("只能写成环境变量" in fault for fault in page({"kind": kind, "location": location}))


@pytest.mark.parametrize(("kind", "location"), [("sql", "${YIWANG_SOURCE_DB}"), ("rest", "${YIWANG_SOURCE_DB}"), ("rest", "${YIWANG_SOURCE_DB}/v1/cases")])
def test_an_address_of_the_environment_is_accepted(page: Check, monkeypatch: pytest.MonkeyPatch, kind: str, location: str) -> None:
    monkeypatch.setenv("YIWANG_SOURCE_DB", "https://db.city")
    assert not any("location" in fault and "只能写成" in fault for fault in page({"kind": kind, "location": location}))
    assert any("不能写网络地址" in fault for fault in page({"kind": kind, "location": location, "next": "//evil.example/x"}))


def test_other_keys_that_name_files_are_held_to_the_folders(page: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIWANG_SOURCE_API", "https://api.city")
    source = {"kind": "rest", "location": "${YIWANG_SOURCE_API}"}
    assert any("ca_file" in fault for fault in page(source | {"ca_file": "/etc/shadow"}))
    assert any("ca_file" in fault for fault in page(source | {"ca_file": "digest.key"}))
    assert not any("ca_file" in fault for fault in page(source | {"ca_file": "uploads/ca.pem"}))


def test_a_dry_run_shows_masked_rows_and_what_becomes_of_the_rest(home: Path) -> None:
    found = attempt(Settings(home=home), file({"location": "uploads/*.csv"}), home, "city", "case", current="")
    assert [row["case_number"] for row in found["rows"]] == ["A-1"]
    assert {field["field"]: field["title"] for field in found["fields"]}["case_number"] == "办件编号"
    assert "13800138000" not in str(found) and "13900139000" not in str(found)
    (aside,) = found["set_aside"]
    assert "2026年13月" in aside["reason"] and aside["key"] == "A-2"
    assert found["unmapped"] == ["多余"]
    assert not (home / "work" / "warehouse.duckdb").exists()


def test_a_dry_run_keeps_to_the_policy_and_names_missing_columns(home: Path) -> None:
    settings = Settings(home=home)
    with pytest.raises(YiwangError, match="不在允许的目录内"):
        attempt(settings, file({"location": "/etc/passwd", "format": "csv"}), home, "city", "case", current="")
    with pytest.raises(YiwangError, match="缺少列 没有这列"):
        attempt(settings, file({"location": "uploads/*.csv", "fields": {"matter_code": "没有这列"}}), home, "city", "case", current="")
    with pytest.raises(YiwangError, match="city/review"):
        attempt(settings, file({"location": "uploads/*.csv"}), home, "city", "review", current="")


def test_the_summary_keeps_placeholders_and_hides_passwords() -> None:
    text = file({"location": "${YIWANG_SOURCE_DB}", "owner": "张三"}, {"name": "b", "location": "postgresql://u:pa55@db/x"})
    first, second = summary(text)
    assert (first["location"], first["owner"], first["title"]) == ("${YIWANG_SOURCE_DB}", "张三", "办件")
    assert "pa55" not in str(second)
    assert entries("sources: nothing") == [] and summary("- [") == []
