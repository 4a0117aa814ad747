"""What pydantic refuses is said in Chinese."""

import re
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.domain.errors import YiwangError
from models.domain.settings import Settings, get_settings
from models.domain.validation import said


class Form(BaseModel):
    """One field of every kind."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=2, max_length=4, pattern="^[a-z]+$")
    kind: Literal["one", "two"] = "one"
    day: date | None = None
    count: int = Field(1, ge=1, lt=9)
    share: float = 0.5
    many: tuple[str, ...] = Field((), max_length=1)
    by: dict[str, int] = Field(default_factory=dict)
    sure: bool = False
    own: int = 0

    @field_validator("own")
    @classmethod
    def _own(cls, value: int) -> int:
        if value:
            raise ValueError("只能为零")
        return value


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "缺少这一项"), ({"name": "a"}, "至少要有 2 个字"), ({"name": "abcde"}, "不能超过 4 个字"), ({"name": "A1"}, "含有不允许的字符"), ({"name": 3}, "应为文字"),
        ({"name": "ab", "kind": "three"}, "应为 'one'、'two'"), ({"name": "ab", "day": "x"}, "应为日期"), ({"name": "ab", "count": 0}, "不能小于 1"),
        ({"name": "ab", "count": 9}, "应小于 9"), ({"name": "ab", "count": "x"}, "应为整数"), ({"name": "ab", "share": "x"}, "应为数"),
        ({"name": "ab", "many": ["a", "b"]}, "不能超过 1 项"), ({"name": "ab", "many": 1}, "应为列表"), ({"name": "ab", "by": 1}, "键和值"), ({"name": "ab", "sure": "x"}, "true 或 false"),
        ({"name": "ab", "own": 1}, "只能为零"), ({"name": "ab", "more": 1}, "没有这一项"),
    ],
)  # fmt: skip
def test_every_fault_is_chinese(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(values)
    sentence = said(caught.value.errors()[0])
    assert words in sentence and not re.search(r"Input|should|Value error", sentence)


def test_a_wrong_setting_is_refused_in_chinese(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YIWANG_HOME", str(tmp_path))
    monkeypatch.setenv("YIWANG_REPORT_SIGNATURE", "rsa")
    get_settings.cache_clear()
    try:
        with pytest.raises(YiwangError, match="YIWANG_REPORT_SIGNATURE.*应为 'ed25519'、"):
            get_settings()
    finally:
        get_settings.cache_clear()


def test_the_folder_of_own_rules_is_in_the_home_unless_told(tmp_path: Path) -> None:
    assert Settings(home=tmp_path).own_rules == tmp_path / "rules"
    assert Settings(home=tmp_path, quality_rules=tmp_path / "other").own_rules == tmp_path / "other"
