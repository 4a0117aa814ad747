"""REST interfaces that answer in JSON: listings read page by page, from where the last sync stopped (docs/sources.md, "REST")."""

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, ClassVar, Literal, Self

import httpx
from pydantic import Field, field_validator, model_validator

from models.domain.errors import YiwangError
from models.domain.schema import sql_columns
from pipelines.sources.config import Source
from pipelines.sources.http.client import SYSTEM_CLOCK, Client, Clock
from pipelines.sources.http.paging import AnyPaging, Keyset, Paging
from pipelines.sources.http.reader import Reader
from pipelines.sources.http.since import AnyInstant, micros
from pipelines.sources.reading import Load, Reading

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"auth|token|key|secret|cookie|sign|passw|pwd|credential", re.IGNORECASE)


class RestSource(Source):
    """A listing of records of one subject (or from which several subjects are taken)."""

    kind: Literal["rest"] = Field("rest", description="REST interface.")
    location: str = Field(description="Address without parameters, `https://…`; ${NAME} is an environment variable.")
    records: str | None = Field(None, description="Path of the list in the answer, `data.items`; default: the answer is the list.")
    paging: AnyPaging = Field(description="How the server pages: `none`, `page`, `offset`, `cursor`, `link` or `keyset`, or a mapping with `by` and the keys below.")
    page_size: int = Field(500, ge=1, le=100_000, description="Records asked for in one page.")
    max_pages: int = Field(100_000, ge=1, description="Pages after which the listing is taken for endless.")
    since: AnyInstant | None = Field(None, description="Parameter that takes the time of change up to which was read; needs `cursor`.")
    until: AnyInstant | None = Field(None, description="Parameter that takes the present, for servers that want a span.")
    method: Literal["GET", "POST"] = Field("GET", description="With `POST` the parameters of paging, since and until go into the body.")
    params: dict[str, str] = Field({}, description="Further parameters of the address; ${NAME} is an environment variable.")
    body: str | None = Field(None, description="JSON object sent with `POST`; ${NAME} within its texts is an environment variable.")
    token: str | None = Field(None, description="Access token, as ${NAME} only.")
    token_header: str = Field("Authorization", pattern=r"^[A-Za-z0-9-]+$", description="Header that takes the token; `Authorization` takes it as Bearer.")
    headers: dict[str, str] = Field({}, description="Further headers; ${NAME} is an environment variable.")
    timeout: float = Field(60, gt=0, le=3600, description="Seconds within which one page must have come.")
    retries: int = Field(6, ge=0, le=20, description="How often a request that failed is repeated, with growing pauses.")
    rate: float | None = Field(None, gt=0, description="Greatest number of requests a second.")
    ca_file: str | None = Field(None, description="Certificate of the authority that signed the server's, relative to the folder of sources.yml; default: the public ones.")
    insecure_http: bool = Field(False, description="Allow `http://` beyond this machine and private addresses.")
    commit_rows: int = Field(20_000, ge=1, description="Records after which what was read is committed.")

    expanded: ClassVar[tuple[str, ...]] = ()
    """Variables are filled in when a request is made: no secret is ever part of the source."""
    clock: ClassVar[Clock] = SYSTEM_CLOCK
    _UNREAD: ClassVar[set[str]] = Source._UNREAD | {
        "location", "token", "token_header", "headers", "timeout", "retries", "rate", "ca_file", "insecure_http", "commit_rows", "page_size", "max_pages",
    }  # fmt: skip

    def loads(self, reading: Reading) -> Iterator[Load]:
        """What changed since the last listing that was read to its end, a load for every ``commit_rows`` records."""
        url = self._address(reading)
        secrets: set[str] = set()
        headers = {key: self._filled(reading, "headers", value, secrets) for key, value in self.headers.items()}
        if self.token:
            token = self._filled(reading, "token", self.token, secrets)
            headers[self.token_header] = f"Bearer {token}" if self.token_header.lower() == "authorization" else token
        if bad := [key for key, value in headers.items() if not (value.isascii() and value.isprintable())]:
            raise self._wrong(reading, f"请求头 {'、'.join(bad)} 的值含有不能发送的字符")
        params = {key: self._filled(reading, "params", value, secrets) for key, value in self.params.items()}
        body = _each_text(json.loads(self.body or "{}"), lambda text: self._filled(reading, "body", text, secrets))
        is_dry = reading.limit is not None
        with Client(
            self.name, self.location, url, headers, timeout=min(self.timeout, 20) if is_dry else self.timeout, rate=self.rate, clock=self.clock,
            retries=min(self.retries, 1) if is_dry else self.retries,
            ca_file=reading.source_file.folder / self.ca_file if self.ca_file else None,
        ) as client:  # fmt: skip
            now = micros(datetime.fromtimestamp(self.clock.time(), UTC))
            yield from Reader(self, reading, client, url, params, body, frozenset(secrets), now).loads()

    def reads_same(self, other: Source) -> bool:
        """Whether both entries read the same list."""
        return isinstance(other, RestSource) and all(
            getattr(self, key) == getattr(other, key) for key in ("location", "records", "params", "method", "body")
        )

    @property
    def bound_paging(self) -> Paging:
        """The paging, with what it needs of the source's other keys."""
        paging = self.paging
        if not isinstance(paging, Keyset):
            return paging
        return paging.model_copy(update={
            "since": self.since and self.since.send, "id": paging.id or self._column(self.keys[0]), "time": paging.time or self._column(self.cursor or ""),
        })  # fmt: skip

    def _column(self, field: str) -> str:
        spec = self.fields.get(field)
        return spec.column if spec and spec.column else field

    def _filled(self, reading: Reading, key: str, text: str, secrets: set[str] | None = None) -> str:
        for variable in _VARIABLE.findall(text):
            if not os.environ.get(variable, "").strip():
                raise self._wrong(reading, f"{key} 用到的环境变量 {variable} 没有设置")
            if secrets is not None:
                secrets.add(os.environ[variable].strip())
        return _VARIABLE.sub(lambda match: os.environ[match.group(1)].strip(), text)

    def _address(self, reading: Reading) -> httpx.URL:
        text, fault = self._filled(reading, "location", self.location), "location 应为 https:// 开头的地址"
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
            raise self._wrong(reading, f"{fault}，不含用户名、参数和 #")
        if url.scheme == "http" and not self.insecure_http and not _is_near(url.host):
            raise self._wrong(reading, f"{fault}；确需不加密访问时写 insecure_http: true")
        return url

    def _wrong(self, reading: Reading, detail: str) -> YiwangError:
        return YiwangError("YW-SYNC-001", path=reading.source_file.folder, detail=f"来源“{self.name}”的 {detail}")

    @field_validator("location")
    @classmethod
    def _no_parameters(cls, value: str) -> str:
        if not re.match(r"https?://|\$\{", value) or re.search(r"[?#@\s]", value):
            raise ValueError("应为 https:// 开头的地址，不含用户名、参数和 #；参数写在 params 中")
        return value

    @field_validator("token")
    @classmethod
    def _token_from_environment(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(_VARIABLE, value):
            raise ValueError("口令只能来自环境变量，请写成 ${名称}")
        return value

    @field_validator("headers", "params")
    @classmethod
    def _secrets_from_environment(cls, value: dict[str, str]) -> dict[str, str]:
        if clear := [key for key, text in value.items() if _SECRET.search(key) and not _VARIABLE.search(text)]:
            raise ValueError(f"{'、'.join(clear)} 像是口令，只能来自环境变量，请写成 ${{名称}}")
        return value

    @field_validator("body")
    @classmethod
    def _json_object(cls, value: str | None) -> str | None:
        try:
            if value is None or isinstance(json.loads(value), dict):
                return value
        except ValueError:
            pass
        raise ValueError("应为一个 JSON 对象")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.since and (not self.cursor or sql_columns(self.contract)[self.cursor] != "TIMESTAMPTZ"):
            raise ValueError("since 需要 cursor 是一个时间字段，例如 updated_at")
        if self.since and self.vanished == "delete":
            raise ValueError("vanished: delete 每次都要读完整的列表，不能与 since 同用")
        if isinstance(self.paging, Keyset) and (not self.since or not (self.paging.id or len(self.keys) == 1)):
            raise ValueError("paging 的 keyset 需要 since，主键有多个字段时还需要 id")
        if self.body and self.method == "GET":
            raise ValueError("body 只能与 method: POST 同用")
        return self


def _is_near(host: str) -> bool:
    """Whether a host is this machine or has a private address; names are not looked up."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private


def _each_text(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {key: _each_text(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_each_text(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value
