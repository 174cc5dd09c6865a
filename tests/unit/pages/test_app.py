"""What the app of the pages makes of pages that fail."""

import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.errors import BadRequest
from gateway.headers.internal import INTERNAL_REFUSAL
from gateway.pages.app import make_app


async def _broken(_: web.Request) -> web.Response:
    raise RuntimeError("a fault")


async def test_a_fault_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """As everywhere: a problem document without a word about it, which is in the log alone."""
    app = make_app([web.get("/", _broken)])
    with caplog.at_level(logging.ERROR):
        async with TestClient(TestServer(app)) as client:
            answer = await client.get("/", headers={"X-Request-Id": "abc"})
            document = await answer.json(content_type="application/problem+json")
    assert (500, "internal_error", "abc") == (
        answer.status,
        document["code"],
        document["request_id"],
    )
    assert "no-store" == answer.headers["Cache-Control"]
    assert "internal_error" == answer.headers[INTERNAL_REFUSAL]
    [record] = [record for record in caplog.records if record.name == "gateway.pages.app"]
    assert "request abc failed" == record.getMessage()
    assert record.exc_info is not None


async def _refusing(_: web.Request) -> web.Response:
    raise BadRequest("not JSON")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        pytest.param("GET", "/", "bad_request not%20JSON", id="refused"),
        pytest.param("GET", "/else", "no_route", id="no page"),
        pytest.param("PUT", "/", "method_not_allowed", id="method"),
        pytest.param("GET", "/fine", None, id="answered"),
    ],
)
async def test_a_refusal_is_told_to_the_log(method: str, path: str, expected: str | None) -> None:
    """In a field that the client does not see: only its line has the reason."""
    app = make_app([web.get("/", _refusing), web.get("/fine", _fine)])
    async with TestClient(TestServer(app)) as client:
        answer = await client.request(method, path)
    assert expected == answer.headers.get(INTERNAL_REFUSAL)


async def _fine(_: web.Request) -> web.Response:
    return web.Response()
