"""One request and its answer, from a server that may fail, throttle, stall or answer nonsense.

Failures that may pass (no connection, time-out, 429, 5xx, a broken or foreign body) are tried again with growing
pauses; all others end at once with a sentence. No sentence, log or traceback of this module holds a header, a
parameter or a text of the server: secrets travel in them. What does not belong here: what the answer means.
"""

import logging
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from models.domain.errors import YiwangError

MAX_BYTES = 64 * 2**20
"""Greatest size of one answer, unpacked."""
PATIENCE = 900.0
"""Seconds after which one request is given up, all its repetitions and pauses included."""
_REDIRECTS = 5
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_REASONS = {
    400: "不接受请求的参数，请检查 params、paging 与 since",
    401: "不接受口令（HTTP 401），请检查 token 与 headers 所用的环境变量",
    403: "拒绝访问（HTTP 403），请向接口的管理方申请权限",
    404: "没有这个地址（HTTP 404），请检查 location",
}
_T = TypeVar("_T")


class Clock(Protocol):
    """Time as the client sees it."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    def time(self) -> float:
        """Seconds since 1970."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


SYSTEM_CLOCK: Clock = time


class Passing(Exception):
    """A failure that may pass; its text is the sentence for people.

    Args:
        detail: What is wrong.
        wait: Seconds that the server asks for, if it does.
    """

    def __init__(self, detail: str, wait: float | None = None) -> None:
        super().__init__(detail)
        self.wait = wait


class Final(Exception):
    """A failure that will not pass by itself; its text is the sentence for people."""


@dataclass(frozen=True)
class Request:
    """What is asked for; the same request may be sent several times."""

    url: str
    method: str = "GET"
    params: Mapping[str, str] | None = None
    json: Any = None


@dataclass(frozen=True)
class Answer:
    """A whole answer: its body unpacked, its headers, and the time at the server when it was given."""

    body: bytes
    headers: httpx.Headers
    at: datetime


class Client:
    """Sends requests to one origin, with patience and within limits.

    Args:
        source: Name of the source, for sentences.
        shown: The address as people may see it.
        origin: The only scheme, host and port that is ever asked.
        headers: Sent with each request.
        timeout: Seconds within which one answer must have come whole.
        retries: How often a request is repeated.
        rate: Greatest number of requests a second.
        ca_file: Certificates of a private authority, besides none other; None for the public ones.
        clock: Time.
    """

    def __init__(
        self, source: str, shown: str, origin: httpx.URL, headers: Mapping[str, str], *, timeout: float = 60, retries: int = 6,
        rate: float | None = None, ca_file: Path | None = None, clock: Clock = SYSTEM_CLOCK,
    ) -> None:  # fmt: skip
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they would log addresses with their parameters
        self._source, self._shown, self._origin, self._clock = source, shown, origin, clock
        self._timeout, self._retries, self._pause = timeout, retries, 1 / rate if rate else 0.0
        self._next_at = clock.monotonic()
        try:
            verify = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
        except (OSError, ssl.SSLError):
            self.fail("的 ca_file 无法读取，请检查该文件")
        # Neither proxies nor netrc of the environment: what is sent goes where sources.yml says and nowhere else.
        self._http = httpx.Client(
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", **headers}, verify=verify, timeout=timeout, trust_env=False,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._http.close()

    def fail(self, detail: str, **values: Any) -> NoReturn:
        """End with a sentence.

        Raises:
            YiwangError: YW-SYNC-008.
        """
        raise YiwangError("YW-SYNC-008", source=self._source, url=self._shown, detail=detail, **values)

    def fetch(self, request: Request, read: Callable[[Answer], _T]) -> _T:
        """Send a request until ``read`` can make something of its answer.

        Args:
            request: What is asked for.
            read: Raises :class:`Passing` where the answer is broken.

        Raises:
            YiwangError: YW-SYNC-008; ``values["status"]`` is the HTTP status of a refusal.
        """
        began = self._clock.monotonic()
        exponential = wait_exponential_jitter(initial=1, max=60, jitter=1)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait if isinstance(error, Passing) else None
            return max(exponential(state), asked or 0.0)

        def stop(state: RetryCallState) -> bool:
            return state.attempt_number > self._retries or self._clock.monotonic() - began + state.upcoming_sleep > PATIENCE

        retrying = Retrying(
            sleep=self._clock.sleep, wait=wait, stop=stop, retry=retry_if_exception_type(Passing), reraise=True
        )
        try:
            return retrying(lambda: read(self._send(request)))
        except Passing as error:
            detail = f"{error}，重试后仍不成功，请稍后再同步或联系接口的管理方"
        except Final as error:
            detail = str(error)
        self.fail(detail)  # here, so that the exceptions above, which know the request, are no part of its traceback

    def _send(self, request: Request) -> Answer:
        url = httpx.URL(request.url)
        params = request.params
        for _ in range(_REDIRECTS + 1):
            if origin(url) != origin(self._origin):
                self.fail(f"转向了另一站点 {url.scheme}://{url.host}，为保护口令没有跟随，请核实后把 location 改为新地址")
            self._keep_rate()
            answer = self._exchange(request, url, params)
            if isinstance(answer, Answer):
                return answer
            url, params = url.join(answer), None
        self.fail("不断转向，请检查 location")

    def _exchange(self, request: Request, url: httpx.URL, params: Mapping[str, str] | None) -> Answer | str:
        """The answer, or where it says to go."""
        deadline = self._clock.monotonic() + self._timeout
        with self._faults(), self._http.stream(request.method, url if params is None else url.copy_merge_params(dict(params)), json=request.json) as response:
            status = response.status_code
            if status in (301, 302, 307, 308) and "location" in response.headers and (request.method == "GET" or status > 302):
                return response.headers["location"]
            if status in _PASSING:
                raise Passing(f"返回 HTTP {status}（{_phrase(status)}）", self._asked_wait(response.headers))
            if not 200 <= status < 300:
                self.fail(_REASONS.get(status, f"返回 HTTP {status}（{_phrase(status)}），请检查 location 与 params"), status=status)
            return Answer(b"".join(self._body(response, deadline)), response.headers, self._server_time(response.headers))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Failures of the connection become sentences; the library's own exceptions, which know the request, end here."""
        try:
            yield
        except httpx.TimeoutException:
            detail = f"{self._timeout:g} 秒内没有应答"
        except httpx.RemoteProtocolError:
            detail = "的应答不完整"
        except httpx.TransportError as error:
            if any(isinstance(link, ssl.SSLCertVerificationError) for link in _chain(error)):
                raise Final("的证书无法验证，请检查地址，或用 ca_file 给出签发机构的证书") from None
            detail = "连接不上或连接中断"
        except (httpx.InvalidURL, httpx.DecodingError):
            detail = "的应答无法解读"
        else:
            return
        raise Passing(detail)

    def _body(self, response: httpx.Response, deadline: float) -> Iterator[bytes]:
        """The body piece by piece, unpacked here so that no piece grows beyond the limit."""
        packing = response.headers.get("content-encoding", "identity").strip().lower()
        if packing not in ("identity", "gzip", "x-gzip", ""):
            self.fail(f"的应答用了不支持的压缩 {packing[:20]!r}，请让接口改用 gzip 或不压缩")
        unpack = zlib.decompressobj(wbits=31) if "gzip" in packing else None
        size = 0
        for raw in response.iter_raw():
            if self._clock.monotonic() > deadline:
                raise Passing(f"{self._timeout:g} 秒内没有传完应答")
            try:
                piece = unpack.decompress(raw, MAX_BYTES + 1 - size) if unpack else raw
            except zlib.error:
                raise Passing("的应答压缩有误") from None
            size += len(piece)
            if size > MAX_BYTES:
                self.fail(f"的一页超过 {MAX_BYTES // 2**20} MB，请调小 page_size")
            yield piece
        if unpack and not unpack.eof:
            raise Passing("的应答不完整")

    def _keep_rate(self) -> None:
        now = self._clock.monotonic()
        if self._next_at > now:
            self._clock.sleep(self._next_at - now)
        self._next_at = max(now, self._next_at) + self._pause

    def _server_time(self, headers: httpx.Headers) -> datetime:
        return _http_date(headers.get("date")) or datetime.fromtimestamp(self._clock.time(), UTC)

    def _asked_wait(self, headers: httpx.Headers) -> float | None:
        """``Retry-After`` in seconds; a date is compared with the server's own clock."""
        text = headers.get("retry-after", "").strip()
        if text.isdigit():
            return float(text[:9])
        until = _http_date(text)
        return max(0.0, (until - self._server_time(headers)).total_seconds()) if until else None


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _http_date(text: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(text or "")
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "未知状态"


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
