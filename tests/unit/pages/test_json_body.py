"""The JSON in the body of a request for a page."""

import asyncio
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader
from aiohttp.test_utils import make_mocked_request

from gateway.core.errors import RequestTimeout
from gateway.pages import json_body
from tests.fakes.pages import page_services, serving

JSON = "Content-Type: application/json"
PATH = "/login/attempt"


async def test_json_is_read() -> None:
    """Whatever its charset."""
    async with serving(page_services([])) as pages:
        body = b'{"email": "ada@example.com"}'
        answer = await pages.ask("POST", PATH, JSON + "; charset=utf-8", body=body)
    assert 200 == answer.status


@pytest.mark.parametrize(
    ("field", "body", "status"),
    [
        pytest.param("Content-Type: text/plain", b"{}", 400, id="not-declared-as-json"),
        pytest.param(JSON, b"{", 400, id="not-json"),
        pytest.param(JSON, b" " * 4097, 413, id="too-large"),
    ],
)
async def test_what_is_refused(field: str, body: bytes, status: int) -> None:
    """A form of another site cannot declare JSON (CSRF)."""
    async with serving(page_services([])) as pages:
        assert status == (await pages.ask("POST", PATH, field, body=body)).status


async def test_a_body_that_does_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not awaited for long: it holds a connection that all clients share."""
    monkeypatch.setattr(json_body, "BODY_TIMEOUT_S", 0.01)
    protocol = Mock(_reading_paused=False)
    payload = StreamReader(protocol, 2**16, loop=asyncio.get_running_loop())
    payload.feed_data(b"{")
    fields = {"Content-Type": "application/json"}
    request = make_mocked_request("POST", PATH, headers=fields, payload=payload)
    with pytest.raises(RequestTimeout):
        await json_body.json_body(request)
