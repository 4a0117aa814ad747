"""``sources.yml``: what is synchronised from where, and how its columns become the fields of a contract.

Here are the keys that all kinds of source have; each kind adds its own (``pipelines/sources/kinds``). Every key
is described in docs/sources.md. What does not belong here: reading the sources.
"""

import hashlib
import json
import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from models.domain.contracts import SUBJECTS, Contract, Personal, columns, key_of
from models.domain.errors import YiwangError
from pipelines.sources.store import literal

if TYPE_CHECKING:
    from pipelines.sources.reading import Load, Reading

READER_VERSION = 3
"""Part of every fingerprint: raise it when the same source and settings would give other rows than before."""

_TWICE = "有重复的键"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class FieldSpec(_Strict):
    """Where the value of one field comes from."""

    column: str | None = Field(None, description="Source column.")
    constant: str | None = Field(None, description="The same value for every row, instead of a column.")
    codes: dict[str, str] = Field({}, description="Source value → code ("" for none); a value that is not listed stays as it is.")
    pad: int | None = Field(None, ge=1, le=64, description="Width in characters to which zeros are put before the value.")
    formats: list[str] = Field([], description="strptime formats of a day or an instant, tried in order.")
    optional: bool = Field(False, description="The source may leave the column out; otherwise its absence stops the sync.")

    @field_validator("formats")
    @classmethod
    def _known_formats(cls, value: list[str]) -> list[str]:
        if value:
            with duckdb.connect() as connection:
                for text in value:
                    try:
                        connection.execute(f"SELECT try_strptime('', {literal(text)})")
                    except duckdb.Error:
                        raise ValueError(f"时间格式“{text}”不对") from None
        return value

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.column is None) == (self.constant is None):
            raise ValueError("column 与 constant 必须且只能写一个")
        return self


class Source(_Strict):
    """One subject of one source: what all kinds have in common.

    A kind is a subclass in ``pipelines/sources/kinds``, which adds its keys and reads in :meth:`loads`.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40, description="Name of the source; its records are kept under it.")
    kind: str = Field("file", description="Kind of connector.")
    subject: str = Field(description="Which contract the rows fill.")
    location: str = Field(description="Where the source is; ${NAME} is an environment variable.")
    key: list[str] = Field([], description="Fields that identify a record; default: the contract's key.")
    cursor: str | None = Field(None, description="Field that says which version of a record is the later one.")
    look_back: str | None = Field(None, pattern=r"^[0-9]+[dhm]$", description="How far a reader by cursor steps back, `3d`, `12h` or `30m`; no effect on files, which are read whole.")
    deleted: str | None = Field(None, description="Source column that is true where the source has deleted the record.")
    vanished: Literal["keep", "delete"] = Field("keep", description="Whether a record that the source no longer holds counts as deleted.")
    vanished_limit: float = Field(0.2, gt=0, le=1, description="Share of the source's records that may vanish in one sync; more is taken for a fault of the source.")
    zone: str = Field("Asia/Shanghai", description="Zone of instants that name none.")
    satisfaction_direction: Literal["best_is_1", "best_is_5"] = Field("best_is_1", description="Which end of satisfaction_code means 非常满意.")
    owner: str | None = Field(None, max_length=100, description="Who answers for the source; shown in the catalogue.")
    fresh_within: str | None = Field(None, pattern=r"^[0-9]+[dh]$", description="Age of the newest record, `1d` or `6h`, from which the source counts as stale.")
    fields: dict[str, FieldSpec] = Field({}, description="Contract field → source column or FieldSpec; columns named like a field map by themselves.")

    expanded: ClassVar[tuple[str, ...]] = ("location",)
    """Keys in which ``${NAME}`` is replaced by an environment variable; they are not part of the settings' digest."""
    _UNREAD: ClassVar[set[str]] = {"look_back", "vanished_limit", "owner", "fresh_within"}

    def loads(self, reading: "Reading") -> Iterator["Load"]:
        """What is new since the last sync, one transaction after the other.

        Raises:
            YiwangError: YW-SYNC-… naming source and fault.
        """
        raise NotImplementedError

    def reads_same(self, other: "Source") -> bool:
        """Whether both entries read the same rows, so that a column that one of them takes is not unmapped."""
        return (self.kind, self.location) == (other.kind, other.location)

    def settings_digest(self) -> str:
        """Digest of all that decides how rows are read, the place apart."""
        settings = self.model_dump(exclude={*self.expanded, *self._UNREAD}) | {"reader": READER_VERSION}
        return hashlib.blake2b(json.dumps(settings, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()

    @field_validator("fields", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"column": spec} if isinstance(spec, str) else spec for name, spec in value.items()}

    @field_validator("subject")
    @classmethod
    def _known_subject(cls, value: str) -> str:
        if value not in SUBJECTS:
            raise ValueError(f"没有“{value}”这个主题，可用：{'、'.join(SUBJECTS)}")
        return value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"没有“{value}”这个时区") from None
        return value

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        specs = columns(self.contract)
        for name in [*self.fields, *self.key, *([self.cursor] if self.cursor else [])]:
            if name not in specs:
                raise ValueError(f"{self.subject} 没有字段“{name}”")
        if hidden := [name for name in self.key if specs[name].personal is Personal.IDENTIFIER]:
            raise ValueError(f"证件号码不能作为主键：{'、'.join(hidden)}")
        return self

    @property
    def contract(self) -> type[Contract]:
        """The contract of the subject."""
        return SUBJECTS[self.subject]

    @property
    def keys(self) -> list[str]:
        """The fields that identify a record within the source."""
        return self.key or key_of(self.contract)


def _of_its_kind(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(value, dict):
        return handler(value)
    from pipelines.sources.registry import kinds  # imported late: the kinds are made of what is above

    kind = value.get("kind", "file")
    if kind not in kinds():
        raise ValueError(f"kind 没有“{kind}”这一种，可用：{'、'.join(sorted(kinds()))}")
    return kinds()[kind].model_validate(value)


def told_twice(pairs: Sequence[tuple[str, str]]) -> str | None:
    """Which names and subjects stand together more than once, as a sentence; None where none do."""
    twice = {f"{name}/{subject}" for name, subject in pairs if pairs.count((name, subject)) > 1}
    return f"来源与主题重复：{'、'.join(sorted(twice))}" if twice else None


class SourceFile(_Strict):
    """A ``sources.yml``.

    Attributes:
        folder: The folder of the file; locations are relative to it.
    """

    as_of: datetime | date | None = Field(None, description="Day (its end) or instant as of which open cases are clocked; default: the data's horizon.")
    sources: list[Annotated[SerializeAsAny[Source], WrapValidator(_of_its_kind)]] = Field(min_length=1, description="The sources, one entry for each subject of each source.")
    folder: Path = Field(Path(), exclude=True)

    @field_validator("as_of", mode="before")
    @classmethod
    def _day_or_instant(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"日期“{value}”无法识别，请使用 2026-06-30 这样的格式") from None

    @field_validator("sources")
    @classmethod
    def _no_pair_twice(cls, value: list[Source]) -> list[Source]:
        if fault := told_twice([(source.name, source.subject) for source in value]):
            raise ValueError(fault)
        return value

    def as_of_instant(self, zone: str) -> datetime | None:
        """``as_of`` as an instant: a day means its last microsecond in ``zone``, an instant without zone is in ``zone``."""
        if self.as_of is None:
            return None
        if not isinstance(self.as_of, datetime):
            next_day = datetime.combine(self.as_of + timedelta(days=1), time(), ZoneInfo(zone))
            return next_day - timedelta(microseconds=1)
        return self.as_of if self.as_of.tzinfo else self.as_of.replace(tzinfo=ZoneInfo(zone))


class _Loader(yaml.BaseLoader):
    """Every scalar stays text (``01``, ``no`` and ``2026-06-30`` are what they look like); no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, _TWICE, node.start_mark)
        return mapping


def load_sources(path: Path) -> SourceFile:
    """Read and check a ``sources.yml``.

    Raises:
        YiwangError: YW-SYNC-005 where the file is missing; YW-SYNC-001 naming source, field and fault.
    """
    if not path.is_file():
        raise YiwangError("YW-SYNC-005", path=path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a BaseLoader makes text only
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise YiwangError("YW-SYNC-001", path=path, detail=_yaml_fault(error)) from error
    if not isinstance(content, dict):
        raise YiwangError("YW-SYNC-001", path=path, detail="内容应为 as_of 与 sources 两个键")
    content = {key: None if value == "" else value for key, value in content.items()}
    try:
        file = SourceFile.model_validate(content)
    except ValidationError as error:
        raise YiwangError("YW-SYNC-001", path=path, detail=_fault(content, error)) from error
    sources = [source.model_copy(update={key: _expand(source, key, path) for key in source.expanded}) for source in file.sources]
    return file.model_copy(update={"sources": sources, "folder": path.parent.resolve()})


def _expand(source: Source, key: str, path: Path) -> str | None:
    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if not os.environ.get(name):
            raise YiwangError("YW-SYNC-001", path=path, detail=f"来源“{source.name}”的 {key} 用到的环境变量 {name} 没有设置")
        return os.environ[name]

    text: str | None = getattr(source, key)
    return text and _VARIABLE.sub(value, text)


def _yaml_fault(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "不是 UTF-8 编码的 YAML"
    problem = error.problem if error.problem == _TWICE else "不是合法的 YAML"
    return f"第 {error.problem_mark.line + 1} 行{problem}"


_FAULTS = {
    "missing": "缺少这一项",
    "extra_forbidden": "没有这个设置",
    "literal_error": "取值不在允许的范围内",
    "string_type": "应为文字",
    "list_type": "应为列表",
    "too_short": "至少要有一个来源",
    "model_type": "应为键值",
    "model_attributes_type": "应为列名或键值",
    "dict_type": "应为键值",
    "int_parsing": "应为整数",
}
_WRITTEN = {
    "name": "只能用小写字母、数字和下划线，以字母开头",
    "look_back": "应写成 3d、12h 或 30m",
    "fresh_within": "应写成 1d 或 6h",
    "timeout": "应写成 30s、10m、1h 或 1d",
    "connect_timeout": "应写成 30s、10m、1h 或 1d",
    "table": "应写成 表名 或 模式.表名，不含空格、引号",
}
"""Key → how its text is written, where a pattern says it."""
_BOUNDS = {
    "string_too_long": "最多 {max_length} 个字", "string_too_short": "至少 {min_length} 个字", "greater_than_equal": "应不小于 {ge}", "greater_than": "应大于 {gt}",
    "less_than_equal": "应不大于 {le}", "less_than": "应小于 {lt}", "string_pattern_mismatch": "应符合 {pattern}",
}  # fmt: skip
_OWN = "Value error, "


def _fault(content: dict[str, Any], error: ValidationError) -> str:
    first = error.errors()[0]
    place = list(first["loc"])
    words = []
    if len(place) > 1 and place[0] == "sources" and isinstance(place[1], int):
        entry = content["sources"][place[1]]
        name = entry.get("name") if isinstance(entry, dict) else None
        words.append(f"第 {place[1] + 1} 个来源" + (f"“{name}”" if name else ""))
        place = place[2:]
    if place:
        words.append("的 " + ".".join(str(part) for part in place) if words else ".".join(str(part) for part in place))
    return "".join(words) + "：" + _rule(first["type"], first["msg"], str(place[-1]) if place else "", first.get("ctx", {}))


def _rule(kind: str, message: str, key: str, bounds: Mapping[str, Any]) -> str:
    """What is wrong, as the rule that a value does not keep to."""
    if message.startswith(_OWN):
        return message.removeprefix(_OWN)
    if kind == "string_pattern_mismatch" and key in _WRITTEN:
        return _WRITTEN[key]
    return _BOUNDS[kind].format(**bounds) if kind in _BOUNDS else _FAULTS.get(kind, "写法不对")
