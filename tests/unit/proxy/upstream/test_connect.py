"""How servers are found and reached."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

import pytest
from aiohappyeyeballs import AddrInfoType

from gateway.core.errors import (
    Refusal,
    UpstreamBusy,
    UpstreamUnreachable,
)
from gateway.core.request import Outbound, Target
from gateway.core.route import Balance, Route
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.balancer import HealthPolicy
from gateway.proxy.upstream.connect import (
    RemovedAddresses,
    Resolver,
    is_address,
    to_tcp,
)
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.pool import Connect, UpstreamPool
from gateway.proxy.upstream.upstream import Upstream, UpstreamRules, UpstreamServer
from gateway.util.deadlines import Deadlines
from tests.fakes.heads import request_head

MOST = 8
"""Connections of a pool here."""


def addresses(*names: str, port: int = 80) -> list[AddrInfoType]:
    """What the system says about these addresses."""
    return [
        (
            socket.AF_INET6 if ":" in name else socket.AF_INET,
            socket.SOCK_STREAM,
            6,
            "",
            (name, port, 0, 0) if ":" in name else (name, port),
        )
        for name in names
    ]


class Dns:
    """Answers as it is told; counts who asks."""

    def __init__(self, *names: str, port: int = 80) -> None:
        self.names: Sequence[str] = names
        self.port = port
        self.asked = 0
        self.fails = False
        self.waits: asyncio.Event | None = None

    async def look_up(self, _: str, __: int) -> Sequence[AddrInfoType]:
        """See `gateway.proxy.upstream.connect.LookUp`."""
        self.asked += 1
        if self.waits is not None:
            await self.waits.wait()
        if self.fails:
            raise socket.gaierror(-2, "Name or service not known")
        return addresses(*self.names, port=self.port)


def names(found: Sequence[AddrInfoType]) -> list[str]:
    """The addresses in ``found``."""
    return [str(entry[4][0]) for entry in found]


# --- names -------------------------------------------------------------------------------------


async def test_an_answer_holds_for_a_while() -> None:
    """Then the resolver is asked again, and new connections follow it."""
    dns = Dns("192.0.2.1")
    resolver = Resolver(asyncio.get_running_loop(), dns.look_up, ttl_s=0.05)
    for _ in range(3):
        assert ["192.0.2.1"] == names(await resolver.addresses("app", 80))
    assert 1 == dns.asked
    dns.names = ["192.0.2.2"]
    async with asyncio.timeout(20):
        while names(await resolver.addresses("app", 80)) != ["192.0.2.2"]:
            await asyncio.sleep(0.01)


async def test_those_who_ask_at_the_same_time_ask_once() -> None:
    """However many connections are opened at a time; each name is asked for itself."""
    dns = Dns("192.0.2.1")
    resolver = Resolver(asyncio.get_running_loop(), dns.look_up)
    await asyncio.gather(*(resolver.addresses("app", 80) for _ in range(50)))
    assert 1 == dns.asked
    await resolver.addresses("other", 80)
    assert 2 == dns.asked


async def test_while_the_resolver_fails_the_last_answer_holds() -> None:
    """Also while it only hangs; a name that was never found is an error each time."""
    dns = Dns("192.0.2.1")
    resolver = Resolver(asyncio.get_running_loop(), dns.look_up, ttl_s=0, patience_s=0.01)
    await resolver.addresses("app", 80)
    dns.fails = True
    assert ["192.0.2.1"] == names(await resolver.addresses("app", 80))
    with pytest.raises(OSError, match="not known"):
        await resolver.addresses("other", 80)
    dns.waits = asyncio.Event()
    assert ["192.0.2.1"] == names(await resolver.addresses("app", 80))
    dns.fails = False
    dns.names = ["192.0.2.2"]
    dns.waits.set()
    async with asyncio.timeout(20):
        while names(await resolver.addresses("app", 80)) != ["192.0.2.2"]:
            await asyncio.sleep(0.01)


async def test_a_resolver_that_hangs_is_waited_for_once() -> None:
    """Not by each connection anew: they would all be slow for as long as it hangs."""
    loop = asyncio.get_running_loop()
    dns = Dns("192.0.2.1")
    resolver = Resolver(loop, dns.look_up, ttl_s=0, patience_s=0.5)
    await resolver.addresses("app", 80)
    dns.waits = asyncio.Event()
    began_s = loop.time()
    for _ in range(20):
        assert ["192.0.2.1"] == names(await resolver.addresses("app", 80))
    assert 0.5 <= loop.time() - began_s < 9  # 20 of them would wait for 10 s
    assert 2 == dns.asked
    dns.waits.set()


async def test_who_leaves_takes_nobody_along() -> None:
    """A connection that is given up while it waits for the resolver does not end the question."""
    dns = Dns("192.0.2.1")
    dns.waits = asyncio.Event()
    resolver = Resolver(asyncio.get_running_loop(), dns.look_up)
    first, second = (asyncio.create_task(resolver.addresses("app", 80)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    dns.waits.set()
    assert ["192.0.2.1"] == names(await second)
    assert first.cancelled()
    assert 1 == dns.asked


async def test_addresses_of_one_family_take_turns() -> None:
    """What the resolver puts first would get everything; families keep their order."""
    dns = Dns("2001:db8::1", "2001:db8::2", "192.0.2.1")
    resolver = Resolver(asyncio.get_running_loop(), dns.look_up)
    seen = [tuple(names(await resolver.addresses("app", 80))) for _ in range(4)]
    assert seen[0] != seen[1] == seen[3] != seen[2] == seen[0]
    assert {("2001:db8::1", "2001:db8::2", "192.0.2.1")} == {
        (*sorted(found[:2]), *found[2:]) for found in seen
    }


async def test_the_system_knows_localhost() -> None:
    """The resolver that is used unless told otherwise."""
    resolver = Resolver(asyncio.get_running_loop())
    assert {"127.0.0.1", "::1"} & set(names(await resolver.addresses("localhost", 80)))


def test_an_address_is_gone_when_it_was_not_seen_for_a_while() -> None:
    """Names with many addresses tell some of them at a time; each departure is told once."""
    departures = RemovedAddresses(after_s=30)
    assert frozenset() == departures.gone(addresses("192.0.2.1", "192.0.2.2"), 0)
    assert frozenset() == departures.gone(addresses("192.0.2.1"), 20)
    assert {"192.0.2.2"} == departures.gone(addresses("192.0.2.1"), 30)
    assert frozenset() == departures.gone(addresses("192.0.2.1"), 50)
    assert {"192.0.2.1"} == departures.gone(addresses("192.0.2.2"), 90)


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("app", False), ("1.example", False)]
)
def test_addresses_need_no_resolver(host: str, expected: bool) -> None:
    """Only names are looked up."""
    assert expected is is_address(host)


# --- connections -------------------------------------------------------------------------------


class Site:
    """Apps on one port of several loopback addresses."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.accepted: list[str] = []
        self.port = 0
        self._servers: list[asyncio.Server] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        for host in self.hosts:
            server = await asyncio.start_server(self._serve, host, self.port)
            self.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.accepted.append(writer.get_extra_info("sockname")[0])
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def pooled(connect: Connect) -> AsyncIterator[UpstreamPool]:
    """A pool of connections by ``connect``."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop, 1)
    pool = UpstreamPool(loop, connect, deadlines, WriteBatcher(loop), MOST)
    try:
        yield pool
    finally:
        pool.close()
        deadlines.close()
        await asyncio.sleep(0)


async def asked(connection: UpstreamConnection) -> int:
    """The status of an answer over ``connection``."""
    answer = await connection.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET", lambda _: None)
    return answer.status


async def test_each_name_has_its_own_turn() -> None:
    """Connections to one name are spread over its addresses, other look-ups aside."""
    dns = Dns("192.0.2.1", "192.0.2.2")
    resolver = Resolver(asyncio.get_running_loop(), dns.look_up)
    first = [names(await resolver.addresses(name, 80))[0] for name in ("a", "b") * 2]
    assert {"192.0.2.1", "192.0.2.2"} == set(first[0::2]) == set(first[1::2])


async def test_the_next_address_is_tried() -> None:
    """One that refuses, and one that does not answer, delay no connection (RFC 8305)."""
    loop = asyncio.get_running_loop()
    async with Site("127.0.0.2") as serving:
        dns = Dns("127.0.0.3", "127.0.0.2", port=serving.port)
        resolver = Resolver(loop, dns.look_up)
        async with pooled(to_tcp(loop, resolver, "app", serving.port)) as pool:
            for _ in range(2):
                assert 200 == await asked(await pool.open("a", 2))
        assert ["127.0.0.2", "127.0.0.2"] == serving.accepted


async def test_no_address_answers() -> None:
    """All of them refuse: that is one failure to connect, not one for each."""
    loop = asyncio.get_running_loop()
    async with Site("127.0.0.2") as serving:
        port = serving.port
    resolver = Resolver(loop, Dns("127.0.0.3", "127.0.0.2", port=port).look_up)
    with pytest.raises(ConnectionRefusedError):
        await to_tcp(loop, resolver, "app", port)(lambda: pytest.fail("no connection"))


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), UpstreamUnreachable),
        (FileNotFoundError(errno.ENOENT, "No such file"), UpstreamUnreachable),
        (ssl.SSLCertVerificationError("not trusted"), UpstreamUnreachable),
        (socket.gaierror(-2, "Name or service not known"), UpstreamUnreachable),
        (OSError(errno.EMFILE, "Too many open files"), UpstreamBusy),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), UpstreamBusy),
    ],
)
async def test_whose_fault_it_is(error: OSError, refusal: type[Refusal]) -> None:
    """What is wanting here does not make a server look ill; and room is given back."""

    async def connect(_: object) -> UpstreamConnection:
        raise error

    async with pooled(connect) as pool:
        for _ in range(20):
            with pytest.raises(refusal):
                await pool.open("a", 0.01)


async def test_room_is_given_back_once() -> None:
    """A connection that is lost as it becomes a tunnel gives its room to one other, not to two."""
    loop = asyncio.get_running_loop()
    async with Site("127.0.0.1") as serving:
        connect = to_tcp(loop, Resolver(loop), "127.0.0.1", serving.port)
        async with pooled(connect) as pool:
            becoming = await pool.open("a", 2)
            assert 200 == await asked(becoming)
            becoming.abort()
            while becoming.transport is not None:
                await asyncio.sleep(0)
            pool.detach(becoming)
            for number in range(MOST):
                assert 200 == await asked(await pool.open(f"client {number}", 2))
            with pytest.raises(UpstreamBusy):
                await pool.open("a", 0.01)


async def test_connections_follow_the_name() -> None:
    """Those to an address that is gone are let go of: the idle at once, the busy when they end."""
    loop = asyncio.get_running_loop()
    async with Site("127.0.0.1", "127.0.0.2") as serving:
        dns = Dns("127.0.0.1", port=serving.port)
        resolver = Resolver(loop, dns.look_up, ttl_s=0)
        connect = to_tcp(loop, resolver, "app", serving.port)
        async with pooled(connect) as pool:
            server = UpstreamServer.of(
                "app", "app", connect, pool, lambda: resolver.current("app", serving.port)
            )
            rules = UpstreamRules(dns_s=(0.01, 0.05))
            app = Upstream("app", [server], rules, loop, lambda *_: None)
            app.start()
            busy, idle = await pool.open("a", 2), await pool.open("a", 2)
            assert [200, 200] == [await asked(busy), await asked(idle)]
            pool.give_back(idle)
            dns.names = ["127.0.0.2"]
            async with asyncio.timeout(20):
                while idle.transport is not None:
                    await asyncio.sleep(0.01)
            assert busy.transport is not None
            pool.give_back(busy)
            assert pool.take_idle("a", may_repeat=True) is None
            assert 200 == await asked(await pool.open("a", 2))
            assert "127.0.0.2" == serving.accepted[-1]
            await app.aclose()


async def test_an_upstream_that_retires() -> None:
    """Its watches end, what is idle is closed, what is under way ends by itself."""
    loop = asyncio.get_running_loop()
    async with Site("127.0.0.1") as serving:
        connect = to_tcp(loop, Resolver(loop), "127.0.0.1", serving.port)
        async with pooled(connect) as pool:
            server = UpstreamServer.of("app", "app", connect, pool)
            app = Upstream("app", [server], UpstreamRules(), loop, lambda *_: None)
            app.start()
            busy, idle = await pool.open("a", 2), await pool.open("a", 2)
            assert [200, 200] == [await asked(busy), await asked(idle)]
            pool.give_back(idle)
            app.retire()
            assert pool.take_idle("a", may_repeat=True) is None
            pool.give_back(busy)
            assert pool.take_idle("a", may_repeat=True) is None
            await app.aclose()


async def test_issuers_and_addresses_are_callers() -> None:
    """The key is the issuer of a signed-in user, else the address as limits count it."""
    loop = asyncio.get_running_loop()

    async def connect(_: object) -> UpstreamConnection:
        raise ConnectionRefusedError

    async with pooled(connect) as pool:
        servers = [UpstreamServer.of(name, name, connect, pool) for name in "abcd"]
        rules = UpstreamRules(Balance.BY_ISSUER, HealthPolicy())
        app = Upstream("app", servers, rules, loop, lambda *_: None)
        chosen = {
            peer: app.enter(
                Outbound(
                    Route("r", "/*", "app"),
                    "GET",
                    Target("/", "/", has_encoded_slash=False),
                    b"",
                    None,
                    request_head(peer=peer).peer,
                )
            ).member.name
            for peer in [f"192.0.2.{n}" for n in range(20)] + [f"2001:db8::{n}" for n in range(20)]
        }
        assert len({name for peer, name in chosen.items() if "." in peer}) > 1
        assert len({name for peer, name in chosen.items() if ":" in peer}) == 1
