"""The sample app of the demo, over a real socket."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from gateway.demo.app import make_app


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The sample app, listening on a free port of loopback."""
    async with TestServer(make_app()) as server:
        yield str(server.make_url(""))


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
async def test_every_path_and_method_is_answered(url: str, method: str) -> None:
    """The demo can be tried on any path."""
    async with ClientSession() as client, client.request(method, f"{url}/a/b%20c?d=e") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert (await answer.json())["path"] == "/a/b c"


async def test_fields_of_the_gateway_and_credentials_are_echoed(url: str) -> None:
    """A user of the demo sees which fields the gateway wrote, and which credentials it removed."""
    sent = {
        "X-User-Issuer": "did:ethr:0x1",
        "X-Forwarded-For": "192.0.2.1",
        "Via": "1.1 gateway",
        "Cookie": "a=b",
        "Authorization": "Bearer c",
        "User-Agent": "test",
        "Accept": "text/html",
    }
    async with ClientSession() as client, client.get(url, headers=sent) as answer:
        echoed = (await answer.json())["headers"]
    host = url.removeprefix("http://").rstrip("/")
    assert echoed == {
        "Host": host,
        **{name: sent[name] for name in sent if name not in ("User-Agent", "Accept")},
    }


async def test_names_are_echoed_as_they_were_sent(url: str) -> None:
    """Names are selected without case, and shown with it."""
    async with ClientSession() as client, client.get(url, headers={"x-a": "1"}) as answer:
        assert (await answer.json())["headers"]["x-a"] == "1"
