"""Any CSV file is read, or refused with one sentence."""

from pathlib import Path

import pytest

from models.domain.errors import YiwangError
from quality.detection.reading import read_table


def read(content: bytes, tmp_path: Path) -> tuple[list[str], list[list[str]]]:
    (tmp_path / "table.csv").write_bytes(content)
    table = read_table(tmp_path / "table.csv")
    return [column.name for column in table.columns], [[column.text(code) for code in column.codes] for column in table.columns]


@pytest.mark.parametrize(
    "content",
    [
        "名称,数\n张三,2\n李四,3\n".encode(), "名称,数\r\n张三,2\r\n李四,3\r\n".encode("gbk"), "\ufeff名称,数\n张三,2\n李四,3".encode(),
        "名称,数\n张三,2\n李四,3\n".encode("utf-16"), "名称;数\n张三;2\n李四;3\n".encode(), "名称\t数\n张三\t2\n\n李四\t3\n".encode(),
    ],
)  # fmt: skip
def test_encodings_and_separators(content: bytes, tmp_path: Path) -> None:
    assert read(content, tmp_path) == (["名称", "数"], [["张三", "李四"], ["2", "3"]])


def test_texts_stay_as_they_are(tmp_path: Path) -> None:
    assert read(b'a,\n" x",007\n"p\nq","a,""b"""\n', tmp_path) == (["a", "第2列"], [[" x", "p\nq"], ["007", 'a,"b"']])
    assert read(b"a\n1\n\n2\n", tmp_path) == (["a"], [["1", "", "2"]])
    assert read(b"a,b\nNULL,\nnan,NA\n", tmp_path) == (["a", "b"], [["NULL", "nan"], ["", "NA"]])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "文件是空的"), (b" \n\n", "文件是空的"), (b"a,b\n", "没有数据行"), (b"a,b\n1,2\n3,4,5\n", "第 3 行有 3 列，表头有 2 列"),
        (b"a,b,a\n1,2,3\n", "列名重复：a"), (b"a,b\n\x00\x01,2\n", "二进制"), (b"\xff\xfea\n1", "UTF-16"), (b"a\n\x81\x20\xff\n", "编码"),
        (b'a,b\n"x,1\n2,3\n', "列"), (b",\n1,2\n", "没有列名"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_in_one_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(YiwangError, match=sentence) as caught:
        read(content, tmp_path)
    assert caught.value.code == "YW-QUALITY-003"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("text", ["臺北市政府服務中心", "辦理戶籍登記申請案件", "經辦人員結案狀態退件補正通知"])
def test_big5_is_told_and_not_read_as_something_else(text: str, tmp_path: Path) -> None:
    rows = "".join(f"{text},{number}\n" for number in range(9))
    with pytest.raises(YiwangError, match="像是 Big5 编码.*另存为 UTF-8"):
        read(f"名稱,數\n{rows}".encode("big5"), tmp_path)
    for encoding in ("gb18030", "utf-8", "utf-16"):  # traditional characters are no reason to refuse
        assert read(f"名稱,數\n{rows}".encode(encoding), tmp_path)[1][0] == [text] * 9


def test_a_missing_and_a_too_large_file(tmp_path: Path) -> None:
    with pytest.raises(YiwangError, match="没有这个文件"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "large.csv").write_text("a,b\n" + "1,2\n" * 100)
    with pytest.raises(YiwangError, match="超过 100 个"):
        read_table(tmp_path / "large.csv", max_cells=100)
