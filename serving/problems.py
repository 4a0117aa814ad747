"""Errors over HTTP: every one is a problem+json (RFC 9457) with a code of :mod:`models.domain.errors`.

One place turns errors into answers, for the application's handlers and for what stands before them. Nothing of the
inside leaves: no stack traces, no statements, no paths.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from models.domain.errors import YiwangError

MEDIA_TYPE = "application/problem+json"

_TITLES = {
    HTTPStatus.UNAUTHORIZED: "未登录",
    HTTPStatus.FORBIDDEN: "没有权限",
    HTTPStatus.BAD_REQUEST: "请求不完整",
    HTTPStatus.PRECONDITION_FAILED: "内容已被修改",
    HTTPStatus.PRECONDITION_REQUIRED: "缺少 If-Match",
    HTTPStatus.TOO_MANY_REQUESTS: "请求过于频繁",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "内容过大",
    HTTPStatus.REQUEST_TIMEOUT: "传输超时",
    HTTPStatus.NOT_FOUND: "未找到",
    HTTPStatus.METHOD_NOT_ALLOWED: "方法不支持",
    HTTPStatus.CONFLICT: "冲突",
    HTTPStatus.GONE: "已不存在",
    HTTPStatus.UNPROCESSABLE_ENTITY: "请求有误",
    HTTPStatus.SERVICE_UNAVAILABLE: "暂不可用",
    HTTPStatus.INTERNAL_SERVER_ERROR: "系统出错",
}

_REASONS = {
    "extra_forbidden": "没有这个参数",
    "missing": "缺少此参数",
    "bool_parsing": "应为 true 或 false",
    "bool_type": "应为 true 或 false",
    "int_parsing": "应为整数",
    "int_from_float": "应为整数",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "greater_than": "应大于 {gt}",
    "literal_error": "应为 {expected}",
    "enum": "应为 {expected}",
    "string_type": "应为文字",
    "dict_type": "应为对象",
    "list_type": "应为列表",
    "model_attributes_type": "应为对象",
    "model_type": "应为对象",
    "date_from_datetime_inexact": "应为日期，如 2026-06-30",
    "datetime_type": "应为时间，如 2026-06-30T09:00:00+08:00",
    "int_type": "应为整数",
    "uuid_parsing": "应为标识，如 01909a4e-0000-7000-8000-000000000001",
    "uuid_type": "应为标识，如 01909a4e-0000-7000-8000-000000000001",
    "datetime_parsing": "应为时间，如 2026-06-30T09:00:00+08:00",
    "datetime_from_date_parsing": "应为时间，如 2026-06-30T09:00:00+08:00",
    "date_type": "应为日期，如 2026-06-30",
    "string_pattern_mismatch": "含有不允许的字符，或格式不对",
    "json_invalid": "不是合法的 JSON",
    "string_too_long": "不能超过 {max_length} 个字符",
    "too_long": "不能超过 {max_length} 个值",
    "date_from_datetime_parsing": "应为日期，如 2026-06-30",
    "date_parsing": "应为日期，如 2026-06-30",
    "day": "应为日期，如 2026-06-30",
    "month": "应为月份，如 2026-06",
}
"""pydantic's kind of error → what people read."""


class Problem(BaseModel):
    """错误说明（RFC 9457）。"""

    type: str = Field(description="错误类型，urn:yiwang:error:<代码>")
    title: str = Field(description="错误类别")
    status: int = Field(description="HTTP 状态码")
    detail: str = Field(description="哪里不对、怎么办")
    code: str = Field(description="错误代码 YW-…")
    request_id: str = Field(description="请求编号，报障时请提供")
    errors: list[dict[str, str]] | None = Field(None, description="各参数的问题：name、detail")


def install(app: FastAPI) -> None:
    """Answer every error of an application as a problem."""
    app.add_exception_handler(YiwangError, _of_error)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)


def problem(error: YiwangError, request_id: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """The answer that an error becomes.

    Args:
        error: What went wrong.
        request_id: Number under which the log has it.
        headers: Further headers.
        **more: Further members of the problem.
    """
    body = {
        "type": f"urn:yiwang:error:{error.code}",
        "title": _TITLES.get(error.status, error.status.phrase),
        "status": int(error.status),
        "detail": error.message,
        "code": error.code,
        "request_id": request_id,
        **more,
    }
    return Response(orjson.dumps(body), error.status, dict(headers or {}) | {"cache-control": "no-store"}, MEDIA_TYPE)


async def refuse(scope: Scope, receive: Receive, send: Send, error: YiwangError) -> None:
    """Answer an error before any route is reached; a socket is closed before it opens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = _headers(error)
    if error.status is HTTPStatus.UNAUTHORIZED:  # a browser on a page then asks for the token
        api = scope["path"].startswith("/api/")
        headers = {"www-authenticate": 'Bearer realm="yiwang"' if api else 'Basic realm="yiwang", charset="UTF-8"'}
    await problem(error, request_id_of(scope), headers=headers)(scope, receive, send)


def request_id_of(scope: Scope) -> str:
    """The number of a request, "-" where nothing gave it one."""
    return str(scope.get("state", {}).get("request_id", "-"))


async def _of_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, YiwangError)  # noqa: S101 (what the handler is registered for)
    return problem(error, request_id_of(request.scope), headers=_headers(error))


def _headers(error: YiwangError) -> dict[str, str]:
    match error.status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return {"retry-after": str(error.values["seconds"])}
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE | HTTPStatus.REQUEST_TIMEOUT:  # the rest of the body is not read
            return {"connection": "close"}
        case _:
            return {}


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (what the handler is registered for)
    errors = [{"name": _name(found["loc"]), "detail": _reason(found)} for found in error.errors()]
    more = f"；另有 {len(errors) - 1} 处" if len(errors) > 1 else ""
    first = YiwangError("YW-SERVE-005", name=errors[0]["name"], detail=errors[0]["detail"] + more)
    return problem(first, request_id_of(request.scope), errors=errors)


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (what the handler is registered for)
    request_id = request_id_of(request.scope)
    match error.status_code:
        case 404:
            return problem(YiwangError("YW-SERVE-006", what="此地址"), request_id)
        case 405:
            allowed = (error.headers or {}).get("Allow", "GET")
            if "GET" in allowed and "HEAD" not in allowed:
                allowed = allowed.replace("GET", "GET, HEAD")
            return problem(YiwangError("YW-SERVE-008", method=request.method, allowed=allowed), request_id, headers={"allow": allowed})
        case 401:
            return problem(YiwangError("YW-SERVE-003"), request_id)
        case 403:
            return problem(YiwangError("YW-SERVE-004"), request_id)
        case status if status < 500:
            return problem(YiwangError("YW-SERVE-005", name="请求", detail="格式不正确"), request_id)
        case _:
            return problem(YiwangError("YW-SERVE-007", request_id=request_id), request_id)


def _name(location: tuple[Any, ...]) -> str:
    """Where in the request: ``limits.promised_limit``."""
    return ".".join(map(str, location[1:])) if len(location) > 1 else str(location[0])


def _reason(found: Any) -> str:
    if found["type"] in ("string_too_short", "too_short"):
        least = found["ctx"]["min_length"]
        return "不能为空" if least == 1 else f"至少 {least} 个"
    said = {name: str(value).replace("'", "").replace(" or ", "、").replace(", ", "、") if name == "expected" else value for name, value in found.get("ctx", {}).items()}
    return _REASONS.get(found["type"], "格式不正确").format(**said)
