"""What the app of the pages makes of pages that fail."""

import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

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
    [record] = [record for record in caplog.records if record.name == "gateway.pages.app"]
    assert "request abc failed" == record.getMessage()
    assert record.exc_info is not None
