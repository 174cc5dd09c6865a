"""Several servers behind one name: who is asked, who is not, and what is sent once more."""

import asyncio
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes import upstream
from tests.fakes.certificates import Authority
from tests.fakes.free_port import free_port
from tests.fakes.http import Answer, RawClient, connected, fetch
from tests.fakes.load import load
from tests.fakes.metrics import figures
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.timing import Stopwatch, at_best_of, until
from tests.fakes.upstream import HELLO, Seen, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
server:
  listen: ["127.0.0.1:0"]
  public_url: http://localhost
  client_ip: x-forwarded-for
  trusted_proxies: [127.0.0.0/8]
admin: {admin}
redis: {{url: "embedded://"}}
magic: {{mode: development}}
upstreams:
{upstreams}
routes:
{routes}
  - {{name: slow, match: {{path: "/slow/*"}}, auth: none, upstream: one,
     timeouts: {{response: 300ms}}}}
  - {{name: new, match: {{path: "/new/*"}}, auth: none, upstream: one, rewrite: /v2/x}}
  - {{name: rest, match: {{path: "/*"}}, auth: none, upstream: one}}
"""

APPS = {
    # name: how many servers, and what the config says of them
    "one": (1, ""),
    "turns": (3, ""),
    "least": (2, "balance: least-connections"),
    "callers": (3, "balance: by-issuer"),
    "killed": (2, "ejection: {failures: 2, pause: 500ms}, slow_start: 30s"),
    "down": (2, "circuit_breaker: {failures: 6, pause: 2s}"),
    "unhealthy": (2, "health: {path: /healthz, interval: 50ms, timeout: 500ms}, slow_start: 1ms"),
    "full": (2, "max_in_flight: 2, connections: 2"),
    "sent": (2, ""),
    "unsent": (2, ""),
    "begun": (2, ""),
    "budget": (2, "retries: 3, ejection: {failures: 1000}"),
    "alone": (1, "retries: 2"),
    "named": (2, "host: rewrite"),
    "soak": (3, "retries: 2, ejection: {failures: 3, pause: 100ms}, slow_start: 200ms"),
}


class App:
    """One of the upstreams of the module's gateway; its paths begin with its name."""

    def __init__(self, front: GatewayProcess, name: str, servers: list[Upstream]) -> None:
        self.front = front
        self.name = name
        self.servers = servers

    async def get(self, path: str = "/", caller: str = "192.0.2.1") -> Answer:
        """GET as ``caller``."""
        return await self.fetch("GET", path, f"X-Forwarded-For: {caller}")

    async def fetch(self, method: str, path: str, *fields: str, body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        return await fetch(self.front.port, method, f"/{self.name}{path}", *fields, body=body)

    def raw(self, path: str) -> bytes:
        """A GET as it is sent."""
        return f"GET /{self.name}{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def counts(self) -> list[int]:
        """How many requests each server has seen; they are forgotten."""
        seen = [len(server.seen) for server in self.servers]
        for server in self.servers:
            server.seen.clear()
        return seen


def config(upstreams: dict[str, str], admin: str = "null") -> str:
    """A config of upstreams, each with what it says; each has a route of its name."""
    return CONFIG.format(
        admin=admin,
        upstreams="\n".join(f"  {name}: {{{keys}}}" for name, keys in upstreams.items()),
        routes="\n".join(
            f'  - {{name: {name}, match: {{path: "/{name}/*"}}, auth: none, upstream: {name},'
            f" strip_prefix: /{name}}}"
            for name in upstreams
        ),
    )


def served_by(servers: list[str], keys: str = "") -> str:
    """What a config says of an upstream."""
    return f"servers: {servers}, {keys}"


class House:
    """A gateway, and all that is behind it."""

    def __init__(self, front: GatewayProcess, admin: int, apps: dict[str, list[Upstream]]) -> None:
        self.front = front
        self.admin = admin
        self._apps = apps

    def __call__(self, name: str) -> App:
        """The upstream called ``name``."""
        return App(self.front, name, self._apps[name])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A gateway with all `APPS`."""
    folder, admin = tmp_path_factory.mktemp("house"), free_port()
    async with AsyncExitStack() as stack:
        apps, upstreams = {}, {}
        for name, (count, keys) in APPS.items():
            apps[name] = [await stack.enter_async_context(upstream.serving()) for _ in range(count)]
            urls = [f"http://127.0.0.1:{server.port}" for server in apps[name]]
            upstreams[name] = served_by(urls, keys)
        path = folder / "app.sock"
        apps["unix"] = [await stack.enter_async_context(upstream.serving(socket=path))]
        upstreams["unix"] = served_by([f"unix:{path}"], "host: rewrite")
        text = config(upstreams, f'{{listen: "127.0.0.1:{admin}"}}')
        yield House(await stack.enter_async_context(gateway(text, folder)), admin, apps)


def leave(client: RawClient) -> None:
    """Reset the connection: one that is only closed could be half-closed, and waiting."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


async def hang(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Take the request, say nothing."""
    await reader.read()


async def drop(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and close."""
    writer.close()


# --- who is asked ------------------------------------------------------------------------------


async def test_servers_take_turns(house: House) -> None:
    """Round-robin gives each the same."""
    app = house("turns")
    for _ in range(12):
        assert 200 == (await app.get()).status
    assert [4, 4, 4] == app.counts()


async def test_the_least_busy_is_asked(house: House) -> None:
    """A server that hangs gets no more while others are free."""
    app = house("least")
    for server in app.servers:
        server.streams["/hang"] = hang
    async with connected(app.front.port) as client:
        await client.send(app.raw("/hang"))
        await until(lambda: any(server.seen for server in app.servers))
        hanging = next(server for server in app.servers if server.seen)
        app.counts()
        for _ in range(6):
            assert 200 == (await app.get()).status
        assert [] == hanging.seen
        leave(client)
    await until(hanging.lost.is_set)
    for _ in range(6):
        await app.get()
    assert hanging.seen  # what was hanging is counted no more


async def test_a_caller_keeps_its_server(house: House) -> None:
    """By issuer, or address: when a server leaves, only its own callers move."""
    app = house("callers")
    callers = [f"192.0.2.{number}" for number in range(40)]

    async def homes() -> dict[str, int]:
        found = {}
        for caller in callers:
            assert 200 == (await app.get(caller=caller)).status
            found[caller] = app.counts().index(1)
        return found

    before = await homes()
    assert before == await homes()
    assert {0, 1, 2} == set(before.values())
    await app.servers[0].stop()
    after = await homes()
    assert {c: h for c, h in before.items() if h} == {c: after[c] for c, h in before.items() if h}


# --- who is not --------------------------------------------------------------------------------


async def test_one_server_is_killed_under_load_and_comes_back(house: House) -> None:
    """No idempotent request fails; the server that comes back begins with less than its share."""
    app = house("killed")
    first, second = app.servers
    async with load(app.front.port, "/killed/", clients=4) as made:
        await until(lambda: min(len(first.seen), len(second.seen)) > 50)
        await second.stop()
        app.counts()
        await until(lambda: len(first.seen) > 200)
        assert [] == second.seen
        await second.start()
        await until(lambda: len(second.seen) > 10)
        app.counts()
        await until(lambda: len(first.seen) > 200)
        most, least = app.counts()
    assert ({200}, []) == (set(made.answers), made.broken)
    assert 0 < least < most / 3
    counted = await figures(house.admin)
    assert counted['gateway_upstream_ejections_total{upstream="killed"}'] >= 1
    assert 0 == counted['gateway_upstream_servers_out{upstream="killed"}']
    assert counted['gateway_upstream_retries_total{upstream="killed"}'] >= 1


@at_best_of(3)
async def test_all_servers_are_down(house: House) -> None:
    """502 at once; when the circuit opens, 503 and when to come back; and it closes by itself."""
    app = house("down")
    assert 200 == (await app.get()).status
    for server in app.servers:
        await server.stop()
    try:
        with Stopwatch(2):  # longer, and the circuit would be tried again
            answers = [await app.get() for _ in range(10)]
    finally:
        for server in app.servers:
            await server.start()

    codes = [answer.code for answer in answers]
    assert "upstream_unreachable" == codes[0]
    assert (503, "upstream_down") == (answers[-1].status, codes[-1])
    assert answers[-1].value("Retry-After") in {"1", "2"}

    async with asyncio.timeout(20):
        while (await app.get()).status != 200:
            await asyncio.sleep(0.05)


async def test_an_unhealthy_server_gets_no_requests(house: House) -> None:
    """What its health check says is believed, both ways."""
    app = house("unhealthy")
    first, second = app.servers

    async def is_second_asked(*, expected: bool) -> None:
        async with asyncio.timeout(20):
            while True:
                app.counts()
                for _ in range(6):
                    assert 200 == (await app.get("/x")).status
                if expected is any(seen.target == "/x" for seen in second.seen):
                    return

    await is_second_asked(expected=True)
    second.answer("/healthz", b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
    await is_second_asked(expected=False)
    second.answers.clear()
    await is_second_asked(expected=True)
    second.streams["/healthz"] = hang
    await is_second_asked(expected=False)
    async with asyncio.timeout(20):
        while 1 != await _servers_out(house, "unhealthy"):
            await asyncio.sleep(0.02)
    first.streams["/healthz"] = hang  # all are unhealthy: then all are asked
    await is_second_asked(expected=True)
    first.streams.clear()
    await until(lambda: any(seen.target == "/healthz" for seen in first.seen))
    check = next(seen for seen in first.seen if seen.target == "/healthz")
    assert ["gateway-health"] == check.values("User-Agent")
    assert [f"127.0.0.1:{first.port}"] == check.values("Host")


async def _servers_out(house: House, name: str) -> float:
    return (await figures(house.admin))[f'gateway_upstream_servers_out{{upstream="{name}"}}']


async def test_no_more_requests_are_under_way_than_may_be(house: House) -> None:
    """503 with Retry-After; clients that leave make room."""
    app = house("full")
    for server in app.servers:
        server.streams["/hang"] = hang
    for _ in range(2):
        app.counts()
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(app.front.port)) for _ in range(2)]
            for client in clients:
                await client.send(app.raw("/hang"))
            await until(lambda: sum(len(server.seen) for server in app.servers) == 2)
            refused = await app.get()
            assert (503, "upstream_busy") == (refused.status, refused.code)
            assert "1" == refused.value("Retry-After")
            for client in clients:
                leave(client)
        async with asyncio.timeout(20):
            while (await app.get()).status != 200:
                await asyncio.sleep(0.02)


# --- what is sent once more --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "body", "status", "sent"),
    [
        pytest.param("GET", b"", 200, 2, id="get"),
        pytest.param("DELETE", b"", 200, 2, id="delete"),
        pytest.param("PUT", b"x", 502, 1, id="idempotent-with-a-body"),
        pytest.param("POST", b"", 502, 1, id="post-without-a-body"),
        pytest.param("POST", b"x", 502, 1, id="post"),
        pytest.param("PATCH", b"x", 502, 1, id="patch"),
    ],
)
async def test_what_was_sent_and_not_answered(
    house: House, method: str, body: bytes, status: int, sent: int
) -> None:
    """It may have been acted on: only what does no harm twice goes to another server."""
    app, times = house("sent"), [0]

    async def drop_first(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        times[0] += 1
        if times[0] > 1:
            writer.write(HELLO)
            await writer.drain()
        writer.close()

    for server in app.servers:
        server.streams["/x"] = drop_first
    answer = await app.fetch(method, "/x", body=body)
    assert (status, sent) == (answer.status, times[0])
    assert [1, 1][:sent] == [seen for seen in app.counts() if seen]


async def test_what_was_never_sent_may_go_elsewhere(house: House) -> None:
    """Whatever its method: no server has seen it."""
    app = house("unsent")
    await app.servers[0].stop()
    for _ in range(4):
        assert 200 == (await app.fetch("POST", "/x", body=b"once")).status
    assert [b"once"] * 4 == [seen.body for seen in app.servers[1].seen]


async def test_nothing_is_sent_again_after_an_answer_has_begun(house: House) -> None:
    """Half an answer is broken off, also if only an interim one was passed on."""
    app = house("begun")
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
    for server in app.servers:
        server.answer("/half", half, then_close=True)
        server.answer("/early", b"HTTP/1.1 103 Early Hints\r\n\r\n", then_close=True)
    assert not (await app.get("/half")).is_complete
    assert 502 == (await app.get("/early")).status
    assert 2 == sum(app.counts())


async def test_retries_are_a_fifth_of_the_requests(house: House) -> None:
    """An app that fails all the time is not asked twice as often."""
    app = house("budget")
    for server in app.servers:
        server.streams["/x"] = drop
    async with connected(app.front.port) as client:
        for _ in range(200):
            await client.send(app.raw("/x"))
            assert 502 == (await client.answer()).status
    assert 200 < sum(app.counts()) <= 200 + 200 / 5 + 10 + 1


async def test_a_single_server_that_drops_a_request_is_asked_again(house: House) -> None:
    """As often as ``retries`` says."""
    app = house("alone")
    app.servers[0].streams["/x"] = drop
    assert 502 == (await app.get("/x")).status
    assert [3] == app.counts()


class Soak:
    """Servers that fail and clients that leave at random; each request has a nonce of its own."""

    def __init__(self, port: int) -> None:
        self.wrong: list[str] = []
        self.statuses: set[int] = set()
        self.is_over = False
        self._port = port
        self._chance = random.Random(1)

    async def echo(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        """Answer with the nonce, late, in part or not at all."""
        nonce = seen.values("X-Nonce")[0].encode()
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + nonce.rjust(40)
        cut = self._chance.random()
        if cut < 0.1:
            writer.write(data[: self._chance.randrange(len(data))])
            writer.close()
            return
        await asyncio.sleep(0.01 * (cut < 0.3))
        writer.write(data)
        await writer.drain()

    async def client(self, name: str) -> None:
        """Ask, and sometimes leave without waiting for the answer."""
        number = 0
        while not self.is_over:
            async with connected(self._port) as client:
                while not self.is_over:
                    number += 1
                    if not await self._ask(client, f"{name}-{number}"):
                        leave(client)
                        break

    async def _ask(self, client: RawClient, nonce: str) -> bool:
        """Whether the connection goes on."""
        method = self._chance.choice(("GET", "GET", "POST"))
        await client.send(
            f"{method} /soak/echo HTTP/1.1\r\nHost: x\r\nX-Nonce: {nonce}\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )
        if self._chance.random() < 0.1:
            return False
        answer = await client.answer(method)
        self.statuses.add(answer.status)
        if answer.status == 200 and answer.is_complete and answer.body.strip() != nonce.encode():
            self.wrong.append(nonce)
        return answer.is_complete and "close" not in answer.values("Connection")


async def test_servers_that_die_and_clients_that_leave(house: House) -> None:
    """Every answer is that of its own request, and nothing is left behind."""
    app, soak = house("soak"), Soak(house.front.port)
    for server in app.servers:
        server.answers["/echo"] = soak.echo
    async with asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(soak.client(str(number)))
        for number in range(15):
            victim = app.servers[number % 3]
            await victim.stop()
            await asyncio.sleep(0.1)
            await victim.start()
            await asyncio.sleep(0.1)
        soak.is_over = True

    assert [] == soak.wrong
    assert {200} < soak.statuses <= {200, 502, 503, 504}
    async with asyncio.timeout(20):
        while (await figures(house.admin))['gateway_upstream_busy{upstream="soak"}']:
            await asyncio.sleep(0.05)


# --- how it is asked ---------------------------------------------------------------------------


async def test_a_route_has_time_outs_of_its_own(house: House) -> None:
    """Here 300 ms instead of half a minute."""
    house("one").servers[0].streams["/slow/x"] = hang
    answer = await fetch(house.front.port, "GET", "/slow/x")
    assert (504, "upstream_timeout") == (answer.status, answer.code)


@pytest.mark.parametrize(
    ("sent", "seen", "prefix"),
    [
        ("/one/a/b?c=/one", "/a/b?c=/one", ["/one"]),
        ("/one", "/", ["/one"]),
        ("/one?q", "/?q", ["/one"]),
        ("/one/", "/", ["/one"]),
        ("/one/one/x", "/one/x", ["/one"]),
        ("/new/a?b", "/v2/x/a?b", []),
        ("/new", "/v2/x", []),
        ("/other/one/a", "/other/one/a", []),
    ],
)
async def test_paths_are_replaced(house: House, sent: str, seen: str, prefix: list[str]) -> None:
    """The app sees the path without the prefix, and is told of it; clients cannot tell it."""
    app = house("one")
    app.counts()
    answer = await fetch(house.front.port, "GET", sent, "X-Forwarded-Prefix: /evil")
    assert 200 == answer.status
    (request,) = app.servers[0].seen
    assert (seen, prefix) == (request.target, request.values("X-Forwarded-Prefix"))


@pytest.mark.parametrize("path", ["/one//x", "/one/../x", "/one/%2e%2e/x", "/one%2Fx", "/one/.;/x"])
async def test_cutting_a_prefix_opens_nothing(house: House, path: str) -> None:
    """What is ambiguous is refused before anything is cut off (CVE-2026-48020)."""
    app = house("one")
    app.counts()
    assert 400 == (await fetch(house.front.port, "GET", path)).status
    assert [0] == app.counts()


async def test_host_may_be_the_servers(house: House) -> None:
    """Then each server is asked under its own name, and told what the client asked for."""
    app = house("named")
    for _ in app.servers:
        assert 200 == (await app.get()).status
    for server in app.servers:
        (seen,) = server.seen
        assert [f"127.0.0.1:{server.port}"] == seen.values("Host")
        assert ["localhost"] == seen.values("X-Forwarded-Host")
        assert "host" == seen.headers[0][0].lower()


async def test_a_unix_socket(house: House) -> None:
    """An app may listen where only this machine can reach it."""
    app = house("unix")
    assert b"hello" == (await app.get()).body
    assert ["localhost"] == app.servers[0].seen[0].values("Host")


# --- TLS ---------------------------------------------------------------------------------------


class Secure:
    """A gateway in front of servers that speak TLS, and the authorities."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.other = Authority(folder), Authority(folder, "other")
        self.trusted = folder / "trusted.pem"
        self.trusted.write_bytes(self.ca.file.read_bytes())
        self.servers: dict[str, Upstream] = {}
        self.front: GatewayProcess

    async def get(self, name: str) -> Answer:
        """GET from the server called ``name``."""
        return await fetch(self.front.port, "GET", f"/{name}/")

    def expected(self) -> dict[str, tuple[ssl.SSLContext, str, str]]:
        """By name: the server's side, the host by which it is reached, our side."""
        ca, other = self.ca, self.other
        address, name = ca.server("127.0.0.1"), ca.server("app.internal")
        asking = ca.server("127.0.0.1", asks_clients=True)
        certificate, key = ca.issue("gateway")
        ours = f"certificate: {certificate}, key: {key}"
        return {
            "by-address": (address, "127.0.0.1", f"ca: {ca.file}"),
            "by-name": (name, "localhost", f"ca: {ca.file}, server_name: app.internal"),
            "wrong-name": (name, "127.0.0.1", f"ca: {ca.file}"),
            "wrong-authority": (address, "127.0.0.1", f"ca: {other.file}"),
            "systems-authorities": (address, "127.0.0.1", ""),
            "unverified": (name, "127.0.0.1", "verify: false"),
            "we-are-known": (asking, "127.0.0.1", f"ca: {ca.file}, {ours}"),
            "we-are-unknown": (asking, "127.0.0.1", f"ca: {ca.file}"),
            "replaced": (other.server("127.0.0.1"), "127.0.0.1", f"ca: {self.trusted}"),
        }


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def secure(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secure]:
    """See `Secure`."""
    made = Secure(tmp_path_factory.mktemp("secure"))
    async with AsyncExitStack() as stack:
        upstreams = {}
        for name, (context, host, tls) in made.expected().items():
            server = await stack.enter_async_context(upstream.serving(tls=context))
            made.servers[name] = server
            upstreams[name] = served_by([f"https://{host}:{server.port}"], f"tls: {{{tls}}}")
        silent = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
        await stack.enter_async_context(silent)
        port = silent.sockets[0].getsockname()[1]
        upstreams["silent"] = served_by(
            [f"https://127.0.0.1:{port}"],
            f"tls: {{ca: {made.ca.file}}}, timeouts: {{connect: 300ms}}",
        )
        upstreams["one"] = served_by(["http://127.0.0.1:1"])
        made.front = await stack.enter_async_context(gateway(config(upstreams), made.folder))
        yield made


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize("name", ["by-address", "by-name", "we-are-known", "unverified"])
async def test_a_server_that_proves_itself(secure: Secure, name: str) -> None:
    """By address, by its internal name, with our client certificate; its connection is kept."""
    for _ in range(3):
        assert b"hello" == (await secure.get(name)).body
    assert (1, 3) == (secure.servers[name].connections, len(secure.servers[name].seen))


@pytest.mark.parametrize(
    "name", ["wrong-name", "wrong-authority", "systems-authorities", "we-are-unknown"]
)
async def test_a_server_that_does_not_prove_itself(secure: Secure, name: str) -> None:
    """502, and it sees no request."""
    answer = await secure.get(name)
    assert (502, "upstream_unreachable") == (answer.status, answer.code)
    assert [] == secure.servers[name].seen


async def test_a_tunnel_over_tls(secure: Secure) -> None:
    """A WebSocket to a server that speaks TLS: bytes both ways, many at a time, until its end."""
    secure.servers["by-name"].streams["/ws"] = _echo_after_101
    block = bytes(range(256)) * 4096
    async with connected(secure.front.port) as client:
        await client.send(
            b"GET /by-name/ws HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert 101 == await client.interim()
        client.writer.write(block)
        async with asyncio.timeout(20):
            assert block == await client.reader.readexactly(len(block))


async def _echo_after_101(
    _: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_an_authority_that_is_replaced(secure: Secure) -> None:
    """The file is read again: new connections believe the new one, and only the new one."""
    assert 502 == (await secure.get("replaced")).status
    secure.trusted.write_bytes(b"half a file")
    assert 502 == (await secure.get("replaced")).status
    secure.trusted.write_bytes(secure.other.file.read_bytes())
    assert 200 == (await secure.get("replaced")).status


async def test_a_handshake_that_does_not_end(secure: Secure) -> None:
    """It is part of connecting, and bounded with it."""
    answer = await secure.get("silent")
    assert (504, "upstream_timeout") == (answer.status, answer.code)
    before = secure.front.descriptors()
    for _ in range(5):
        await secure.get("silent")
    await until(lambda: secure.front.descriptors() <= before)


async def test_a_config_whose_certificates_cannot_be_used(tmp_path: Path) -> None:
    """The gateway does not start: it could not verify the upstream's certificate."""
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate")
    text = config({"one": served_by(["https://127.0.0.1:1"], f"tls: {{ca: {ca}}}")})
    with pytest.raises(AssertionError, match=r"did not start.*TLS to an upstream"):
        async with gateway(text, tmp_path):
            pass


# --- its end -----------------------------------------------------------------------------------


async def test_health_checks_end_with_the_gateway(tmp_path: Path) -> None:
    """Also those that wait for an answer."""
    async with upstream.serving() as first, upstream.serving() as second:
        for server in (first, second):
            server.streams["/healthz"] = hang
        urls = [f"http://127.0.0.1:{server.port}" for server in (first, second)]
        text = config({"one": served_by(urls, "health: {path: /healthz, interval: 50ms}")})
        async with gateway(text, tmp_path) as front:
            await until(lambda: bool(first.seen and second.seen))
            assert 0 == await front.stop()
