"""Heads that are read by the parsers of live connections."""

import pytest

from gateway.core.errors import PROBLEM_TYPES, Refusal
from gateway.core.request import RequestHead
from gateway.explain.head import read_head
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.routing.client_address import client_at, parse_address

PEER = client_at(parse_address("203.0.113.9"))
HOST = "Host: a\r\n"


async def read(text: str) -> RequestHead:
    """Read the head ``text``."""
    return await read_head(text.encode("latin-1"), PEER, ConnectionLimits(), 1000)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"GET /x HTTP/1.1\r\n{HOST}A: b\r\n\r\n", id="usual"),
        pytest.param(f"QUERY /x HTTP/1.1\r\n{HOST}A: b\r\n\r\n", id="by-the-parser"),
    ],
)
async def test_a_head_is_read(text: str) -> None:
    """By the same parts, whichever of them reads it."""
    head = await read(text)
    assert (text.partition(" ")[0], "/x", PEER) == (head.method, head.target, head.peer)
    assert ["Host", "A"] == list(head.lines.names)
    assert "" == head.upgrade
    assert head.request_id


async def test_an_upgrade_is_told() -> None:
    """As to the stages of a live request."""
    lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    head = await read(f"GET / HTTP/1.1\r\n{HOST}{lines}{key}\r\n")
    assert "websocket" == head.upgrade


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(f"GET /a b HTTP/1.1\r\n{HOST}\r\n", "bad_request", id="target"),
        pytest.param(f"GET / HTTP/1.1\r\n{HOST}a b: c\r\n\r\n", "bad_request", id="field"),
        pytest.param("\r\n\r\n", "bad_request", id="nothing"),
        pytest.param(
            f"GET / HTTP/1.1\r\n{HOST}A: {'b' * 20_000}\r\n\r\n", "head_too_large", id="long"
        ),
        pytest.param(
            f"POST / HTTP/1.1\r\n{HOST}Content-Length: 1001\r\n\r\n", "body_too_large", id="body"
        ),
        pytest.param(
            f"GET / HTTP/1.1\r\n{HOST}Expect: x\r\n\r\n", "expectation_failed", id="expectation"
        ),
    ],
)
async def test_a_head_is_refused_as_on_a_connection(text: str, code: str) -> None:
    """Whichever part refuses it."""
    with pytest.raises(Refusal) as refused:
        await read(text)
    assert code == PROBLEM_TYPES[type(refused.value)].code
