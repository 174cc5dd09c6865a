"""Limits on the requests of a caller that are under way, over two gateways on one store."""

import asyncio
import struct
from collections.abc import AsyncIterator
from socket import SO_LINGER, SOL_SOCKET

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from tests.fakes.http import RawClient, connected, fetch
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.servers import eventually
from tests.fakes.upstream import HELLO, Seen
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = """\
  few: {concurrent: 2}
  brief: {concurrent: 1, lease: 1s}
  tenant: {concurrent: 1, per: "header:X-Tenant"}
  watched: {concurrent: 1, mode: shadow}
"""
ROUTES = """\
  - {name: few, match: {path: "/few/*"}, auth: none, limits: [few], upstream: app}
  - {name: few-private, match: {path: "/few-private/*"}, limits: [few], upstream: app}
  - {name: few-sockets, match: {path: "/few-sockets/*"}, auth: none, limits: [few], upstream: echo}
  - {name: tenant, match: {path: "/tenant/*"}, auth: none, limits: [tenant], upstream: app}
  - {name: watched, match: {path: "/watched/*"}, auth: none, limits: [watched], upstream: app}
  - {name: brief, match: {path: "/brief/*"}, auth: none, limits: [brief], upstream: app}
"""
SOON_S = 20


class Held:
    """Requests that the app has not answered yet."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.arrived = 0

    async def __call__(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        self.arrived += 1
        await self.may_end.wait()
        writer.write(HELLO)
        await writer.drain()

    async def has(self, number: int) -> None:
        """Wait until so many have come."""

        async def is_so() -> bool:
            return self.arrived >= number

        await eventually(is_so, within_s=SOON_S)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_world(tmp_path_factory: pytest.TempPathFactory, echo: int) -> AsyncIterator[World]:
    """A gateway, and an app that speaks WebSocket beside the usual one."""
    more = f'  echo: {{servers: ["http://127.0.0.1:{echo}"]}}'
    folder = tmp_path_factory.mktemp("one")
    changes = {"more_limits": LIMITS, "more_routes": ROUTES, "more_upstreams": more}
    async with world(folder, **changes) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def other(
    shared_world: World, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    """Another gateway with the same config."""
    config = shared_world.gateway.config.read_text()
    async with gateway(config, tmp_path_factory.mktemp("other")) as running:
        yield running


@pytest.fixture
def held(around: World) -> Held:
    """What the app does with requests for ``/few/held``, ``/brief/held`` and so on."""
    held = Held()
    for route in ("few", "brief", "tenant", "watched"):
        around.app.answers[f"/{route}/held"] = held
    return held


async def asked(client: RawClient, path: str, *fields: str) -> RawClient:
    """Send a request, and do not wait for its answer."""
    lines = "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *fields])
    return await client.send(f"{lines}\r\n\r\n".encode())


def leave(client: RawClient) -> None:
    """Break a connection off."""
    socket = client.writer.get_extra_info("socket")
    socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


async def all_ended(around: World) -> None:
    """Wait until no lease is in the store."""
    async with Redis.from_url(around.store.url) as client:

        async def is_so() -> bool:
            return not await client.keys("limit:few:leases:*")

        await eventually(is_so, within_s=SOON_S)


async def passes(port: int, path: str = "/few/x", *fields: str) -> None:
    """Wait until a request is answered by the app: what ended before is told to the store soon."""

    async def is_so() -> bool:
        return (await fetch(port, "GET", path, *fields)).status == 200

    await eventually(is_so, within_s=SOON_S)


async def test_no_more_than_the_limit_are_under_way_at_both(
    around: World, other: GatewayProcess, held: Held
) -> None:
    """The third is refused with 429 and Retry-After; when one has ended, the next passes."""
    async with connected(around.port) as one, connected(other.port) as two:
        await asked(one, "/few/held")
        await asked(two, "/few/held")
        await held.has(2)

        for port in (around.port, other.port):
            answer = await fetch(port, "GET", "/few/x")
            assert (429, "rate_limited") == (answer.status, answer.code)
            assert "1" == answer.value("Retry-After")
            assert '"few";q=2;qu="concurrent-requests"' == answer.value("RateLimit-Policy")
        held.may_end.set()

        assert [200, 200] == [(await each.answer()).status for each in (one, two)]
    await all_ended(around)
    await passes(other.port)


async def test_clients_that_leave_make_room(around: World, held: Held) -> None:
    """Before the app has answered, and in the middle of its answer."""

    async def endless(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await held.may_end.wait()
        writer.write(b"0\r\n\r\n")

    around.app.answers["/few/endless"] = endless
    async with connected(around.port) as one, connected(around.port) as two:
        await asked(one, "/few/held")
        await held.has(1)
        await asked(two, "/few/endless")
        assert await two.reader.read(1)
        assert 429 == (await fetch(around.port, "GET", "/few/x")).status
        for client in (one, two):
            leave(client)
    await all_ended(around)
    held.may_end.set()
    await passes(around.port)


async def test_a_tunnel_counts_until_it_is_closed(around: World, other: GatewayProcess) -> None:
    """Each WebSocket is one; a third is refused before it reaches the app."""
    url = f"ws://127.0.0.1:{around.port}/few-sockets/x"
    async with connect(url) as one, connect(url) as two:
        for socket in (one, two):
            await socket.send("hi")
            assert "hi" == await socket.recv()
        assert 429 == (await fetch(other.port, "GET", "/few/x")).status
    await all_ended(around)
    await passes(other.port)


async def test_refused_requests_take_no_place(around: World, held: Held) -> None:
    """One without a credential is answered 401, however many are under way."""
    async with connected(around.port) as one, connected(around.port) as two:
        await asked(one, "/few/held")
        await asked(two, "/few/held")
        await held.has(2)
        assert 401 == (await fetch(around.port, "GET", "/few-private/x")).status
        assert 429 == (await fetch(around.port, "GET", "/few-private/x", around.bearer())).status
        held.may_end.set()
        assert [200, 200] == [(await each.answer()).status for each in (one, two)]
    await passes(around.port, "/few-private/x", around.bearer())


async def test_places_are_those_of_whom_the_limit_counts(around: World, held: Held) -> None:
    """A tenant that has none left keeps no other one out, from the same address."""
    async with connected(around.port) as one:
        await asked(one, "/tenant/held", "X-Tenant: acme")
        await held.has(1)
        statuses = [
            (await fetch(around.port, "GET", "/tenant/x", f"X-Tenant: {name}")).status
            for name in ("acme", "other")
        ]
        held.may_end.set()
        assert 200 == (await one.answer()).status
    assert [429, 200] == statuses
    await passes(around.port, "/tenant/x", "X-Tenant: acme")


async def test_a_shadow_limit_refuses_none_of_those_under_way(around: World, held: Held) -> None:
    """The log says what it would have refused."""
    async with connected(around.port) as one, connected(around.port) as two:
        for client in (one, two):
            await asked(client, "/watched/held")
        await held.has(2)
        held.may_end.set()
        assert [200, 200] == [(await each.answer()).status for each in (one, two)]

    async def is_told() -> bool:
        line = "limit watched (mode: shadow) would have refused 1 requests"
        return any(line in message for message in around.gateway.messages)

    await eventually(is_told, within_s=SOON_S)


async def test_the_places_of_a_killed_gateway_are_free_after_a_lease(
    around: World, held: Held, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its leases are renewed while it lives, for longer than one lasts, and run out after it."""
    config = around.gateway.config.read_text()
    async with gateway(config, tmp_path_factory.mktemp("killed")) as doomed:
        async with connected(doomed.port) as client:
            await asked(client, "/brief/held")
            await held.has(1)
            loop = asyncio.get_running_loop()
            until_s, refused = loop.time() + 1.3, 0
            while loop.time() < until_s:
                refused += (await fetch(around.port, "GET", "/brief/x")).status == 429
            assert refused
            doomed.process.kill()
            await doomed.process.wait()
        await passes(around.port, "/brief/x")
    held.may_end.set()
