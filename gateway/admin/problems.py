"""JSON answers of the dashboard and the API: documents, and problem documents (RFC 9457)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.admin.access import Denial
from gateway.admin.guard import is_json

_FIELDS: Final = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
)


def json_response(document: Mapping[str, Any]) -> web.Response:
    """Make the answer to a request that was carried out."""
    body = orjson.dumps(dict(document))
    return web.Response(body=body, content_type="application/json", headers=_FIELDS)


def problem_response(status: int, code: str, detail: str) -> web.Response:
    """Make a problem document with a code and a detail for operators."""
    document = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    fields = {**_FIELDS, "Content-Type": "application/problem+json"}
    return web.Response(status=status, body=orjson.dumps(document), headers=fields)


def refuse_other_than_json(request: web.Request) -> web.Response | None:
    """CSRF: make the answer to a body that is no JSON, as a form of a foreign page sends it."""
    if is_json(request.headers.get("Content-Type", "")):
        return None
    return problem_response(415, "not_json", "Content-Type is not application/json")


def denied(denial: Denial) -> web.Response:
    """Make the answer to a request that is denied."""
    answer = problem_response(denial.status, denial.code, denial.detail)
    if denial.status == web.HTTPUnauthorized.status_code:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if denial.retry_after_s:
        answer.headers["Retry-After"] = str(denial.retry_after_s)
    return answer
