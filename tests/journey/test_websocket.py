"""WebSockets through the gateway: who may open one, what it carries, and when it ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.fakes.http import fetch
from tests.fakes.timing import assert_within, at_best_of
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = Origin("http://localhost")

UPSTREAMS = """
  echo: {{servers: ["http://127.0.0.1:{port}"], timeouts: {{idle: 20s}}}}
  hasty: {{servers: ["http://127.0.0.1:{port}"], timeouts: {{idle: 1s}}}}
"""
ROUTES = """
  - {name: socket, match: {path: "/socket/*"}, upstream: echo}
  - {name: open-socket, match: {path: "/open/*"}, auth: none, upstream: echo}
  - {name: hasty-socket, match: {path: "/hasty/*"}, auth: none, upstream: hasty}
  - {name: tight-socket, match: {path: "/tight-socket/*"}, limits: [tight], upstream: echo}
  - {name: no-socket, match: {path: "/none/*"}, auth: none, upgrades: [], upstream: echo}
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory, echo: int) -> AsyncIterator[World]:
    """A gateway before it."""
    async with world(
        tmp_path_factory.mktemp("gateway"),
        more_upstreams=UPSTREAMS.format(port=echo),
        more_routes=ROUTES,
    ) as running:
        yield running


def opened(around: World, path: str, *fields: str, **how: Any) -> connect:
    """A WebSocket to the gateway; ``fields`` are whole field lines."""
    pairs = [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
    return connect(
        f"ws://127.0.0.1:{around.port}{path}",
        additional_headers=pairs,
        max_size=None,
        ping_interval=None,
        **how,
    )


async def refused(around: World, path: str, *fields: str, **how: Any) -> int:
    """The status that the handshake is answered with."""
    with pytest.raises(InvalidStatus) as caught:
        async with opened(around, path, *fields, **how):
            pass
    return caught.value.response.status_code


async def ending(socket: ClientConnection) -> tuple[int, float]:
    """The code with which the gateway closes, and how many seconds it took."""
    begun_s = time.monotonic()
    try:
        async with asyncio.timeout(20):
            while True:
                await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006, time.monotonic() - begun_s


async def tunnel_line(around: World, path: str) -> dict[str, object]:
    """The line of the access log of the tunnel on ``path``, as soon as it is there."""
    async with asyncio.timeout(20):
        while True:
            for line in around.gateway.log_lines():
                if line["path"] == path and "tunnel" in line:
                    return line
            await asyncio.sleep(0.02)


# --- who may open one --------------------------------------------------------------------------


async def test_a_socket_carries_messages_both_ways(around: World) -> None:
    """Text and bytes, short and long; extension and subprotocol are agreed end to end."""
    fields = around.bearer()
    async with opened(
        around, "/socket/both-ways", fields, subprotocols=[Subprotocol("superchat")]
    ) as socket:
        for message in ("hi", "", b"\0\1", "x" * 70_000, b"y" * (16 << 20)):
            await socket.send(message)
            assert message == await socket.recv()
        assert socket.response is not None
        assert "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"]
        assert "superchat" == socket.subprotocol
    line = await tunnel_line(around, "/socket/both-ways")
    assert ("closed", 101, "did-token") == (line["tunnel"], line["status"], line["auth"])
    assert isinstance(line["bytes_in"], int)
    assert line["bytes_in"] > 1000


async def test_a_page_of_ours_opens_one_with_its_cookie(around: World) -> None:
    """The browser says in Origin that it is ours."""
    async with opened(around, "/socket/x", await around.sign_in(), origin=OURS) as socket:
        await socket.send("hi")
        assert "hi" == await socket.recv()


async def test_a_websocket_needs_a_credential(around: World) -> None:
    """401, as for any request."""
    assert 401 == await refused(around, "/socket/x")


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
async def test_a_page_of_another_site_opens_none_with_our_cookie(
    around: World, origin: str | None
) -> None:
    """Cross-site WebSocket hijacking: browsers send the cookie along, and say whose page it is."""
    how = {} if origin is None else {"origin": Origin(origin)}
    assert 403 == await refused(around, "/socket/x", await around.sign_in(), **how)


async def test_limits_are_spent(around: World) -> None:
    """429 when they are used up."""
    fields = around.bearer()
    statuses = []
    for _ in range(6):
        try:
            async with opened(around, "/tight-socket/x", fields):
                statuses.append(101)
        except InvalidStatus as error:
            statuses.append(error.response.status_code)
    assert [101] * 5 + [429] == statuses


async def test_a_route_may_have_none(around: World) -> None:
    """501 where it says so."""
    assert 501 == await refused(around, "/none/x")


# --- when it ends ------------------------------------------------------------------------------


@at_best_of(3)
async def test_signing_out_ends_what_the_session_opened(around: World) -> None:
    """1008 within a second, on all its sockets; those of others go on."""
    cookie, other = await around.sign_in(), await around.sign_in()
    async with (
        opened(around, "/socket/1", cookie, origin=OURS) as first,
        opened(around, "/socket/2", cookie, origin=OURS) as second,
        opened(around, "/socket/3", other, origin=OURS) as third,
    ):
        answer = await fetch(
            around.port, "DELETE", "/_gateway/session", cookie, "Origin: http://localhost"
        )
        assert 204 == answer.status
        for socket in (first, second):
            code, took_s = await ending(socket)
            assert 1008 == code
            assert_within(1, took_s)
        await third.send("still here")
        assert "still here" == await third.recv()
    lines = [await tunnel_line(around, f"/socket/{number}") for number in (1, 2, 3)]
    assert ["revoked", "revoked", "closed"] == [line["tunnel"] for line in lines]
    assert {"session"} == {line["auth"] for line in lines}


@at_best_of(3)
async def test_a_session_that_is_deleted_elsewhere_ends_its_sockets(around: World) -> None:
    """By another gateway, or in Redis: 1008 within a second."""
    async with (
        Redis.from_url(around.store.url) as store,
        opened(around, "/socket/deleted", await around.sign_in(), origin=OURS) as socket,
    ):
        await socket.send("hi")
        assert "hi" == await socket.recv()
        for key in await store.keys("session:*"):
            await store.delete(key)
        code, took_s = await ending(socket)
        assert 1008 == code
        assert_within(1, took_s)
    assert "revoked" == (await tunnel_line(around, "/socket/deleted"))["tunnel"]


@pytest.mark.parametrize("by", ["token", "session"])
@at_best_of(3)
async def test_a_socket_ends_when_its_proof_does(around: World, by: str) -> None:
    """1008, within a second of the token's end."""
    lives_s = 3
    begun_s = time.monotonic()
    if by == "token":
        fields = around.bearer(lifetime_s=lives_s)
        socket = await opened(around, "/socket/x", fields)
    else:
        fields = await around.sign_in(lifetime_s=lives_s)
        socket = await opened(around, "/socket/x", fields, origin=OURS)
    code, _ = await ending(socket)
    took_s = time.monotonic() - begun_s
    assert 1008 == code
    assert lives_s - 1 <= took_s
    assert_within(lives_s + 1.5, took_s)


@at_best_of(3)
async def test_a_socket_on_which_nothing_moves_ends(around: World) -> None:
    """1001 after the upstream's idle time; a ping now and then keeps it."""
    async with opened(around, "/hasty/x") as socket:
        for _ in range(6):
            await asyncio.sleep(0.2)
            await (await socket.ping())
        code, took_s = await ending(socket)
        assert 1001 == code
        assert_within(3, took_s)
    assert "idle" == (await tunnel_line(around, "/hasty/x"))["tunnel"]
