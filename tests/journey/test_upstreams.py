"""Several servers behind one name: who is asked, who is not, and what is sent once more."""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes import upstream
from tests.fakes.certificates import Authority
from tests.fakes.http import Answer, connected, fetch
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.upstream import HELLO, Seen, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
server:
  listen: ["127.0.0.1:0"]
  public_url: http://localhost
  client_ip: x-forwarded-for
  trusted_proxies: [127.0.0.0/8]
admin: null
redis: {{url: "embedded://"}}
magic: {{mode: development}}
upstreams:
  app: {{servers: {servers}, {app}}}
routes:
  - {{name: slow, match: {{path: "/slow/*"}}, auth: none, upstream: app,
     timeouts: {{response: 300ms}}}}
  - {{name: cut, match: {{path: "/cut/*"}}, auth: none, upstream: app, strip_prefix: /cut}}
  - {{name: new, match: {{path: "/new/*"}}, auth: none, upstream: app, rewrite: /v2/x}}
  - {{name: rest, match: {{path: "/*"}}, auth: none, upstream: app}}
"""


@asynccontextmanager
async def running(folder: Path, servers: list[str], app: str = "") -> AsyncIterator[GatewayProcess]:
    """A gateway in front of ``servers``; ``app`` are more keys of the upstream."""
    async with gateway(CONFIG.format(servers=servers, app=app), folder) as process:
        yield process


@asynccontextmanager
async def world(
    folder: Path, app: str = "", count: int = 2
) -> AsyncIterator[tuple[GatewayProcess, list[Upstream]]]:
    """A gateway and ``count`` servers."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(upstream.serving()) for _ in range(count)]
        urls = [f"http://127.0.0.1:{server.port}" for server in servers]
        yield await stack.enter_async_context(running(folder, urls, app)), servers


async def get(front: GatewayProcess, path: str = "/", caller: str = "192.0.2.1") -> Answer:
    """GET as ``caller``."""
    return await fetch(front.port, "GET", path, f"X-Forwarded-For: {caller}")


def counts(servers: list[Upstream]) -> list[int]:
    """How many requests each has seen; they are forgotten."""
    seen = [len(server.seen) for server in servers]
    for server in servers:
        server.seen.clear()
    return seen


async def eventually(is_so: Callable[[], bool]) -> None:
    """Return as soon as it is so."""
    async with asyncio.timeout(15):
        while not is_so():
            await asyncio.sleep(0.01)


async def hang(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Take the request, say nothing."""
    await reader.read()


async def drop(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and close."""
    writer.close()


# --- who is asked ------------------------------------------------------------------------------


async def test_servers_take_turns(tmp_path: Path) -> None:
    """Round-robin gives each the same."""
    async with world(tmp_path, count=3) as (front, servers):
        for _ in range(12):
            assert 200 == (await get(front)).status
        assert [4, 4, 4] == counts(servers)


async def test_the_least_busy_is_asked(tmp_path: Path) -> None:
    """A server that hangs gets no more while others are free."""
    async with world(tmp_path, "balance: least-connections") as (front, servers):
        for server in servers:
            server.streams["/hang"] = hang
        async with connected(front.port) as client:
            await client.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: sum(len(server.seen) for server in servers) == 1)
            hanging = next(server for server in servers if server.seen)
            counts(servers)
            for _ in range(6):
                assert 200 == (await get(front)).status
            assert [] == hanging.seen
        await eventually(hanging.lost.is_set)
        for _ in range(6):
            await get(front)
        assert hanging.seen  # what was hanging is counted no more


async def test_a_caller_keeps_its_server(tmp_path: Path) -> None:
    """By issuer, or address: when a server leaves, only its own callers move."""
    callers = [f"192.0.2.{number}" for number in range(40)]
    async with world(tmp_path, "balance: by-issuer", count=3) as (front, servers):

        async def homes() -> dict[str, int]:
            found = {}
            for caller in callers:
                assert 200 == (await get(front, caller=caller)).status
                found[caller] = counts(servers).index(1)
            return found

        before = await homes()
        assert before == await homes()
        assert {0, 1, 2} == set(before.values())
        await servers[0].stop()
        after = await homes()
        assert {c: h for c, h in before.items() if h} == {
            c: after[c] for c, h in before.items() if h
        }


# --- who is not --------------------------------------------------------------------------------


async def test_one_server_is_killed_under_load_and_comes_back(tmp_path: Path) -> None:
    """No idempotent request fails; the server that comes back begins with less than its share."""
    app = "ejection: {failures: 2, pause: 500ms}, slow_start: 30s"
    async with world(tmp_path, app) as (front, servers):
        statuses: Counter[int] = Counter()
        is_over = asyncio.Event()

        async def load() -> None:
            while not is_over.is_set():
                async with connected(front.port) as client:
                    for _ in range(20):
                        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                        statuses[(await client.answer()).status] += 1

        tasks = [asyncio.create_task(load()) for _ in range(4)]
        await eventually(lambda: all(len(server.seen) > 50 for server in servers))
        await servers[1].stop()
        counts(servers)
        await eventually(lambda: len(servers[0].seen) > 200)
        assert [] == servers[1].seen
        await servers[1].start()
        await eventually(lambda: len(servers[1].seen) > 10)
        counts(servers)
        await eventually(lambda: len(servers[0].seen) > 200)
        is_over.set()
        await asyncio.gather(*tasks)

        assert {200} == set(statuses)
        first, second = counts(servers)
        assert 0 < second < first / 3


async def test_all_servers_are_down(tmp_path: Path) -> None:
    """502 at once; when the circuit opens, 503 and when to come back; and it closes by itself."""
    app = "circuit_breaker: {failures: 6, pause: 1s}"
    async with world(tmp_path, app) as (front, servers):
        assert 200 == (await get(front)).status
        for server in servers:
            await server.stop()
        began_s = time.monotonic()
        answers = [await get(front) for _ in range(10)]

        assert time.monotonic() - began_s < 2
        codes = [answer.code for answer in answers]
        assert "upstream_unreachable" == codes[0]
        assert (503, "upstream_down") == (answers[-1].status, codes[-1])
        assert "1" == answers[-1].value("Retry-After")

        for server in servers:
            await server.start()
        async with asyncio.timeout(10):
            while (await get(front)).status != 200:
                await asyncio.sleep(0.05)


async def test_a_server_that_is_ill_gets_nothing(tmp_path: Path) -> None:
    """What its health check says is believed, both ways."""
    app = "health: {path: /healthz, interval: 50ms, timeout: 500ms}, slow_start: 1ms"
    async with world(tmp_path, app) as (front, servers):
        servers[1].answer("/healthz", b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")

        async def asked(expected: int) -> None:
            async with asyncio.timeout(10):
                while True:
                    for server in servers:
                        server.seen.clear()
                    for _ in range(6):
                        assert 200 == (await get(front, "/x")).status
                    seen = [[s.target for s in server.seen].count("/x") for server in servers]
                    if (seen[1] > 0) == bool(expected):
                        return

        await asked(0)
        (check,) = {
            tuple(seen.values("User-Agent")) for seen in servers[0].seen if "z" in seen.target
        }
        assert ("gateway-health",) == check
        del servers[1].answers["/healthz"]
        await asked(1)
        servers[1].streams["/healthz"] = hang
        await asked(0)
        for server in servers:  # all ill: then all are asked
            server.streams["/healthz"] = hang
        await asked(1)


async def test_no_more_requests_are_under_way_than_may_be(tmp_path: Path) -> None:
    """503 with Retry-After; clients that leave make room."""
    async with world(tmp_path, "max_in_flight: 2, connections: 2") as (front, servers):
        for server in servers:
            server.streams["/hang"] = hang
        for _ in range(2):
            async with AsyncExitStack() as stack:
                for _ in range(2):
                    client = await stack.enter_async_context(connected(front.port))
                    await client.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
                await eventually(lambda: sum(len(server.seen) for server in servers) == 2)
                refused = await get(front)
                assert (503, "upstream_busy", "1") == (
                    refused.status,
                    refused.code,
                    refused.value("Retry-After"),
                )
            async with asyncio.timeout(10):
                while (await get(front)).status != 200:
                    await asyncio.sleep(0.02)
            counts(servers)


# --- what is sent once more --------------------------------------------------------------------


_SENT_BEFORE = [
    # method, body, status, how often it is sent
    ("GET", b"", 200, 2),
    ("DELETE", b"", 200, 2),
    ("PUT", b"x", 502, 1),
    ("POST", b"", 502, 1),
    ("POST", b"x", 502, 1),
    ("PATCH", b"x", 502, 1),
]


async def test_what_was_sent_and_not_answered(tmp_path: Path) -> None:
    """It may have been acted on: only what does no harm twice goes to another server."""
    async with world(tmp_path) as (front, servers):
        for method, body, status, sent in _SENT_BEFORE:
            dropped = [0]

            async def drop_first(
                _: Seen,
                __: asyncio.StreamReader,
                writer: asyncio.StreamWriter,
                dropped: list[int] = dropped,
            ) -> None:
                dropped[0] += 1
                if dropped[0] > 1:
                    writer.write(HELLO)
                    await writer.drain()
                writer.close()

            for server in servers:
                server.streams["/x"] = drop_first
            answer = await fetch(front.port, method, "/x", body=body)
            assert (method, status, sent) == (method, answer.status, dropped[0])
            assert [1, 1][:sent] == [seen for seen in counts(servers) if seen]


async def test_what_was_never_sent_may_go_elsewhere(tmp_path: Path) -> None:
    """Whatever its method: no server has seen it."""
    async with world(tmp_path) as (front, servers):
        await servers[0].stop()
        for _ in range(4):
            assert 200 == (await fetch(front.port, "POST", "/x", body=b"once")).status
        assert [b"once"] * 4 == [seen.body for seen in servers[1].seen]


async def test_nothing_is_sent_again_after_an_answer_has_begun(tmp_path: Path) -> None:
    """Half an answer is broken off, also if only an interim one was passed on."""
    async with world(tmp_path) as (front, servers):
        for server in servers:
            server.answer(
                "/half", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", then_close=True
            )
            server.answer("/early", b"HTTP/1.1 103 Early Hints\r\n\r\n", then_close=True)
        assert not (await get(front, "/half")).is_complete
        assert 502 == (await get(front, "/early")).status
        assert 2 == sum(counts(servers))


async def test_retries_are_a_fifth_of_the_requests(tmp_path: Path) -> None:
    """An app that fails all the time is not asked twice as often."""
    app = "retries: 3, ejection: {failures: 1000}"
    async with world(tmp_path, app) as (front, servers):
        for server in servers:
            server.streams["/x"] = drop
        async with connected(front.port) as client:
            for _ in range(200):
                await client.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
                assert 502 == (await client.answer()).status
        assert 200 < sum(counts(servers)) <= 200 + 200 / 5 + 10 + 1


async def test_a_single_server_that_drops_a_request_is_asked_again(tmp_path: Path) -> None:
    """As often as ``retries`` says."""
    async with world(tmp_path, "retries: 2", count=1) as (front, (server,)):
        server.streams["/x"] = drop
        assert 502 == (await get(front, "/x")).status
        assert [3] == counts([server])


# --- how it is asked ---------------------------------------------------------------------------


async def test_a_route_has_time_outs_of_its_own(tmp_path: Path) -> None:
    """Here 300 ms instead of half a minute."""
    async with world(tmp_path, count=1) as (front, (server,)):
        server.streams["/slow/x"] = hang
        answer = await get(front, "/slow/x")
        assert (504, "upstream_timeout") == (answer.status, answer.code)


@pytest.mark.parametrize(
    ("sent", "seen", "prefix"),
    [
        ("/cut/a/b?c=/cut", "/a/b?c=/cut", ["/cut"]),
        ("/cut", "/", ["/cut"]),
        ("/cut?q", "/?q", ["/cut"]),
        ("/cut/", "/", ["/cut"]),
        ("/cut/cut/x", "/cut/x", ["/cut"]),
        ("/new/a?b", "/v2/x/a?b", []),
        ("/new", "/v2/x", []),
        ("/other/cut/a", "/other/cut/a", []),
    ],
)
async def test_paths_are_replaced(
    front_of_one: tuple[GatewayProcess, Upstream], sent: str, seen: str, prefix: list[str]
) -> None:
    """The app sees the path without the prefix, and is told of it; clients cannot tell it."""
    front, server = front_of_one
    server.seen.clear()
    answer = await fetch(front.port, "GET", sent, "X-Forwarded-Prefix: /evil")
    assert 200 == answer.status
    (request,) = server.seen
    assert (seen, prefix) == (request.target, request.values("X-Forwarded-Prefix"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def front_of_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[GatewayProcess, Upstream]]:
    """A gateway and one server."""
    async with world(tmp_path_factory.mktemp("one"), count=1) as (front, (server,)):
        yield front, server


@pytest.mark.parametrize("path", ["/cut//x", "/cut/../x", "/cut/%2e%2e/x", "/cut%2Fx", "/cut/.;/x"])
async def test_cutting_a_prefix_opens_nothing(
    front_of_one: tuple[GatewayProcess, Upstream], path: str
) -> None:
    """What is ambiguous is refused before anything is cut off (CVE-2026-48020)."""
    front, server = front_of_one
    server.seen.clear()
    assert 400 == (await fetch(front.port, "GET", path)).status
    assert [] == server.seen


async def test_host_may_be_the_servers(tmp_path: Path) -> None:
    """Then each server is asked under its own name, and told what the client asked for."""
    async with world(tmp_path, "host: rewrite") as (front, servers):
        for _ in servers:
            assert 200 == (await get(front)).status
        for server in servers:
            (seen,) = server.seen
            assert [f"127.0.0.1:{server.port}"] == seen.values("Host")
            assert ["localhost"] == seen.values("X-Forwarded-Host")
            assert "host" == seen.headers[0][0].lower()


async def test_a_unix_socket(tmp_path: Path) -> None:
    """An app may listen where only this machine can reach it."""
    path = tmp_path / "app.sock"
    async with (
        upstream.serving(socket=path) as server,
        running(tmp_path, [f"unix:{path}"], "host: rewrite") as front,
    ):
        assert b"hello" == (await get(front)).body
        assert ["localhost"] == server.seen[0].values("Host")


# --- TLS ---------------------------------------------------------------------------------------


@asynccontextmanager
async def over_tls(
    folder: Path, tls: str, context: ssl.SSLContext, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[GatewayProcess, Upstream]]:
    """A gateway in front of a server that speaks TLS."""
    async with (
        upstream.serving(tls=context) as server,
        running(folder, [f"https://{host}:{server.port}"], f"tls: {{{tls}}}") as front,
    ):
        yield front, server


async def test_a_server_that_its_authority_vouches_for(tmp_path: Path) -> None:
    """By address, and by the name that it is called by here, on a connection that is kept."""
    ca = Authority(tmp_path)
    async with over_tls(tmp_path, f"ca: {ca.file}", ca.server("127.0.0.1")) as (front, server):
        for _ in range(3):
            assert b"hello" == (await get(front)).body
        assert (1, 3) == (server.connections, len(server.seen))
    tls = f"ca: {ca.file}, server_name: app.internal"
    async with over_tls(tmp_path, tls, ca.server("app.internal"), "localhost") as (front, _):
        assert b"hello" == (await get(front)).body


async def test_a_server_that_nobody_vouches_for(tmp_path: Path) -> None:
    """502, and it sees no request: wrong name, other authority, or a guess at the system's."""
    ca, other = Authority(tmp_path), Authority(tmp_path, "other")
    context = ca.server("app.internal")
    for tls in (
        f"ca: {ca.file}",
        f"ca: {other.file}, server_name: app.internal",
        "server_name: app.internal",
    ):
        async with over_tls(tmp_path, tls, context) as (front, server):
            answer = await get(front)
            assert (502, "upstream_unreachable") == (answer.status, answer.code)
            assert [] == server.seen
    async with over_tls(tmp_path, "verify: false", context) as (front, _):
        assert 200 == (await get(front)).status


async def test_a_server_that_asks_who_we_are(tmp_path: Path) -> None:
    """It is shown our certificate; without one it does not talk to us."""
    ca = Authority(tmp_path)
    context = ca.server("127.0.0.1", asks_clients=True)
    certificate, key = ca.issue("gateway")
    tls = f"ca: {ca.file}, certificate: {certificate}, key: {key}"
    async with over_tls(tmp_path, tls, context) as (front, _):
        assert 200 == (await get(front)).status
    async with over_tls(tmp_path, f"ca: {ca.file}", context) as (front, server):
        assert 502 == (await get(front)).status
        assert [] == server.seen


async def test_an_authority_that_is_replaced(tmp_path: Path) -> None:
    """The file is read again: new connections believe the new one, and only the new one."""
    old, new = Authority(tmp_path), Authority(tmp_path, "new")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(old.file.read_bytes())
    async with over_tls(tmp_path, f"ca: {trusted}", new.server("127.0.0.1")) as (front, _):
        assert 502 == (await get(front)).status
        trusted.write_bytes(b"half a file")
        assert 502 == (await get(front)).status
        trusted.write_bytes(new.file.read_bytes())
        assert 200 == (await get(front)).status


async def test_a_handshake_that_does_not_end(tmp_path: Path) -> None:
    """It is part of connecting, and bounded with it."""
    ca = Authority(tmp_path)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    app = f"tls: {{ca: {ca.file}}}, timeouts: {{connect: 300ms}}"
    async with silent, running(tmp_path, [f"https://127.0.0.1:{port}"], app) as front:
        answer = await get(front)
        assert (504, "upstream_timeout") == (answer.status, answer.code)
        before = front.descriptors()
        for _ in range(5):
            await get(front)
        await eventually(lambda: front.descriptors() <= before)


async def test_a_config_whose_certificates_cannot_be_used(tmp_path: Path) -> None:
    """The gateway does not start: without its authority it would believe nobody, or anybody."""
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate")
    with pytest.raises(AssertionError, match=r"did not start.*TLS to an upstream"):
        async with running(tmp_path, ["https://127.0.0.1:1"], f"tls: {{ca: {ca}}}"):
            pass


# --- its end -----------------------------------------------------------------------------------


async def test_health_checks_end_with_the_gateway(tmp_path: Path) -> None:
    """Also those that wait for an answer."""
    async with world(tmp_path, "health: {path: /healthz, interval: 50ms}") as (front, servers):
        for server in servers:
            server.streams["/healthz"] = hang
        await eventually(lambda: all(server.seen for server in servers))
        assert 0 == await front.stop()
