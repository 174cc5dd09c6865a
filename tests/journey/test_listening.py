"""Where clients come in, and who they are taken for."""

import asyncio
import shutil
import signal
import socket
import stat
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import h11
import pytest
import pytest_asyncio

from gateway.proxy.downstream.tls import CertificateFiles
from tests.fakes.certificates import Authority
from tests.fakes.free_port import free_port
from tests.fakes.http import RawClient, connected, fetch
from tests.fakes.world import World, world
from tests.journey.test_tls import trusting

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
BURST = 21
BALANCER, STRANGER = "127.0.0.2", "127.0.0.3"
CLIENT = "203.0.113.9"

V1 = f"PROXY TCP4 {CLIENT} 192.0.2.1 4711 443\r\n".encode()
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
    + socket.inet_aton(CLIENT)
    + socket.inet_aton("192.0.2.1")
    + struct.pack("!HH", 4711, 443)
)
V2_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
V2_OVER_TLS = V2[:14] + b"\x00\x14" + V2[16:] + b"\x20\x00\x05\x01\x00\x00\x00\x00"


def seen_client(around: World) -> list[str]:
    """Return the client address that the app saw in the last request."""
    return around.app.seen[-1].values("X-Forwarded-For")


async def first_client(around: World, status: int = 200) -> object:
    """The client in the first line of the access log with this status."""
    async with asyncio.timeout(20):
        while not (lines := [x for x in around.gateway.log_lines() if x["status"] == status]):
            await asyncio.sleep(0.02)
    return lines[0]["client"]


async def is_answered(client: RawClient) -> bool:
    """Whether the answer is 200; a 503 may be lost in the reset that follows it."""
    try:
        return (await client.answer()).status == 200
    except (h11.RemoteProtocolError, ConnectionError):
        return False


async def is_refused(client: RawClient) -> bool:
    """Whether the connection ends without an answer."""
    try:
        return await client.is_closed()
    except ConnectionError:
        return True


# --- unix sockets ---------------------------------------------------------------------------------


async def over(
    path: Path, *fields: str, url: str = "http://localhost/public/x", ca: str = ""
) -> str:
    """What curl gets through a unix socket; over TLS if the ``url`` says so."""
    arguments = [part for field in fields for part in ("--header", field)]
    if ca:
        arguments += ["--cacert", ca]
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--unix-socket", str(path), *arguments, url,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode()


def mode_of(path: Path) -> int:
    """Who may use a file, and whether it is a socket."""
    found = path.stat().st_mode
    assert stat.S_ISSOCK(found)
    return stat.S_IMODE(found)


def is_there(path: Path) -> bool:
    """Whether there is such a file."""
    return path.exists()


async def test_a_unix_socket(tmp_path: Path) -> None:
    """Beside a port, with mode 0660, its peers untrusted, removed at the end."""
    path = tmp_path / "gateway.sock"
    async with world(tmp_path, listen=f'["127.0.0.1:0", "unix:{path}"]') as around:
        assert 0o660 == mode_of(path)
        assert "hello" == await over(path, f"X-Forwarded-For: {CLIENT}")
        assert ["unknown"] == seen_client(around)
        assert "for=unknown;" in around.app.seen[-1].values("Forwarded")[0]
        assert 200 == (await around.get("/public/x")).status
        assert "unix:" == await first_client(around)
    assert not is_there(path)


async def test_a_proxy_behind_a_unix_socket(tmp_path: Path) -> None:
    """It is believed where ``unix:`` is among the trusted proxies, and it has no cap."""
    path = tmp_path / "gateway.sock"
    async with world(
        tmp_path,
        listen=f'["127.0.0.1:0", "unix:{path}"]',
        client_ip="x-forwarded-for",
        trusted_proxies='["unix:"]',
        max="{connections_per_client: 1}",
    ) as around:
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert "hello" == await over(path, f"X-Forwarded-For: 6.6.6.6, {CLIENT}")
        assert [CLIENT] == seen_client(around)
        assert 200 == (await around.get("/public/x", "X-Forwarded-For: 6.6.6.6")).status
        assert ["127.0.0.1"] == seen_client(around)
        writer.close()
        assert b"" == await reader.read()


async def test_several_processes_share_what_cannot_be_bound_twice(tmp_path: Path) -> None:
    """A unix socket and TLS with two workers; the file goes when the last one has gone."""
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("localhost", file="server")
    path = tmp_path / "gateway.sock"
    async with world(
        tmp_path,
        listen=f'["127.0.0.1:0", "unix:{path}"]',
        more_server=tls(pair),
        workers="2",
    ) as around:
        context = trusting(authority)
        for _ in range(4):
            assert 200 == (await fetch(around.port, "GET", "/public/x", tls=context)).status
        url = "https://localhost/public/x"
        for _ in range(4):
            assert "hello" == await over(path, url=url, ca=str(authority.file))
    assert not is_there(path)


# --- the PROXY protocol ---------------------------------------------------------------------------


@asynccontextmanager
async def behind_a_balancer(folder: Path, more_server: str = "") -> AsyncIterator[World]:
    """A world whose clients come through 127.0.0.2."""
    async with world(
        folder,
        client_ip="proxy-protocol",
        trusted_proxies=f"[{BALANCER}]",
        timeouts="{head: 1s}",
        more_server=more_server,
    ) as around:
        yield around


async def test_a_balancer_says_who_the_client_is(shared: World) -> None:
    """In both versions; in how many pieces it comes does not matter, nor what comes with it."""
    for header, client, scheme in (
        (V1, CLIENT, "http"),
        (V2, CLIENT, "http"),
        (V2_OVER_TLS, CLIENT, "https"),
        (V2_LOCAL, BALANCER, "http"),
        (b"PROXY UNKNOWN\r\n", BALANCER, "http"),
    ):
        async with connected(shared.port, source=BALANCER) as whole:
            await whole.send(header + GET.replace(b"Host", b"X-Forwarded-For: 6.6.6.6\r\nHost"))
            assert 200 == (await whole.answer()).status
        assert [client] == seen_client(shared)
        assert [scheme] == shared.app.seen[-1].values("X-Forwarded-Proto")
        async with connected(shared.port, source=BALANCER) as pieces:
            pieces.writer.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )
            for at in range(0, len(header), 3):
                await pieces.send(header[at : at + 3])
                await asyncio.sleep(0)
            await pieces.send(GET)
            assert 200 == (await pieces.answer()).status
        assert [client] == seen_client(shared)


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        pytest.param(STRANGER, V1 + GET, id="a-stranger-poses-as-a-balancer"),
        pytest.param(STRANGER, GET, id="a-stranger-goes-around-the-balancer"),
        pytest.param(BALANCER, GET, id="a-balancer-that-says-nothing"),
        pytest.param(BALANCER, b"PROXY TCP4 1.2.3.4\r\n" + GET, id="a-malformed-header"),
        pytest.param(BALANCER, V2[:20], id="a-header-that-does-not-end"),
        pytest.param(BALANCER, b"", id="silence"),
    ],
)
async def test_connections_around_the_balancer_are_refused(
    shared: World, source: str, sent: bytes
) -> None:
    """The connection is closed, at once or when the time of a head is over."""
    shared.forget()
    async with connected(shared.port, source=source) as client:
        await client.send(sent)
        assert await is_refused(client)
    assert [] == shared.app.seen


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One gateway behind a balancer."""
    async with behind_a_balancer(tmp_path_factory.mktemp("gateway")) as around:
        yield around


async def test_a_second_header_is_no_header(shared: World) -> None:
    """What a client writes as the first thing comes after the balancer's, and is no request."""
    shared.forget()
    async with connected(shared.port, source=BALANCER) as client:
        await client.send(V1 + V1.replace(CLIENT.encode(), b"6.6.6.6") + GET)
        assert 400 == (await client.answer()).status
    assert [] == shared.app.seen
    assert CLIENT == await first_client(shared, 400)


async def test_the_header_comes_before_tls(tmp_path: Path) -> None:
    """So a balancer that passes TLS through can still name the client."""
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("localhost", file="server")
    async with behind_a_balancer(tmp_path, tls(pair)) as around:
        for header in (V1, V2):
            await asyncio.to_thread(ask_over_tls, around.port, authority, header)
            assert [CLIENT] == seen_client(around)
            assert ["https"] == around.app.seen[-1].values("X-Forwarded-Proto")


def tls(pair: CertificateFiles) -> str:
    """A part of a config."""
    return f"  tls: {{certificate: {pair.certificate}, key: {pair.key}}}"


def ask_over_tls(port: int, authority: Authority, header: bytes) -> None:
    """A client whose balancer sends ``header``."""
    with socket.create_connection(("127.0.0.1", port), 10, (BALANCER, 0)) as sock:
        sock.sendall(header)
        with trusting(authority).wrap_socket(sock, server_hostname="localhost") as client:
            client.sendall(GET)
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen in
  bind 127.0.0.1:{port}
  server gateway 127.0.0.1:{gateway} source {balancer} {how}
"""


@pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed")
@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2 check"])
async def test_behind_haproxy(tmp_path: Path, how: str) -> None:
    """A balancer of many people's: its clients are told apart, TLS or not."""
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("localhost", file="server")
    async with behind_a_balancer(tmp_path, tls(pair)) as around:
        port = free_port()
        text = HAPROXY.format(port=port, gateway=around.port, balancer=BALANCER, how=how)
        (tmp_path / "haproxy.cfg").write_text(text)
        haproxy = await asyncio.create_subprocess_exec(
            "haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg"), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await until_open(port)
            for source in ("127.0.0.1", "127.0.0.9"):
                async with connected(port, trusting(authority), source=source) as client:
                    await client.send(GET)
                    assert 200 == (await client.answer()).status
                assert [source] == seen_client(around)
        finally:
            haproxy.terminate()
            await haproxy.wait()


async def until_open(port: int) -> None:
    """Wait until the port accepts connections."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with connected(port):
                    return
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


# --- sockets of others ----------------------------------------------------------------------------

LAUNCHER = """
import os, socket, sys
sock = socket.create_server(("127.0.0.1", 0))
if sock.fileno() != 3:
    os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("place", ["systemd", "systemd:http", "fd:3"])
async def test_an_inherited_socket(tmp_path: Path, place: str) -> None:
    """The parent process may have opened the socket; its variables are not passed on."""
    launcher = (sys.executable, "-c", LAUNCHER)
    async with world(tmp_path, *launcher, listen=f'["{place}"]') as around:
        assert around.port
        assert 200 == (await around.get("/public/x")).status


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="no systemd here")
async def test_systemd_passes_a_socket_on(tmp_path: Path) -> None:
    """As in production: it starts the gateway when the first client comes."""
    path = tmp_path / "systemd.sock"
    launcher = ("systemd-socket-activate", f"--listen={path}", "--fdname=http")
    first = asyncio.create_task(until_answered(path))
    async with world(tmp_path, *launcher, listen='["systemd:http"]'):
        assert "hello" == await first
        assert "hello" == await over(path)


async def until_answered(path: Path) -> str:
    """Ask until the socket is there; then wait for the gateway."""
    async with asyncio.timeout(20):
        while not is_there(path):
            await asyncio.sleep(0.02)
    return await over(path)


# --- too many -------------------------------------------------------------------------------------


async def test_a_client_has_so_many_connections(tmp_path: Path) -> None:
    """One more is answered 503 and closed; another client's are not touched."""
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(world(tmp_path, max="{connections_per_client: 2}"))
        held = [await stack.enter_async_context(connected(around.port)) for _ in range(2)]
        for client in held:
            assert 200 == (await (await client.send(GET)).answer()).status
        async with connected(around.port) as third:
            answer = await third.answer()
            assert (503, "overloaded") == (answer.status, answer.code)
            assert await third.is_closed()
        async with connected(around.port, source=STRANGER) as other:
            assert 200 == (await (await other.send(GET)).answer()).status
        held[0].writer.transport.abort()
        async with asyncio.timeout(20):
            while (await around.get("/public/x")).status != 200:
                await asyncio.sleep(0.02)


async def test_behind_a_balancer_each_client_is_counted(tmp_path: Path) -> None:
    """The balancer's own address has no cap; those that it names have."""
    async with (
        world(
            tmp_path,
            client_ip="proxy-protocol",
            trusted_proxies=f"[{BALANCER}]",
            max="{connections_per_client: 2}",
        ) as around,
        AsyncExitStack() as stack,
    ):
        for place, expected in enumerate([200, 200, 503]):
            connection = connected(around.port, source=BALANCER)
            client = await stack.enter_async_context(connection)
            await client.send(V1 + GET)
            assert expected == (await client.answer()).status, place
        async with connected(around.port, source=BALANCER) as other:
            await other.send(V1.replace(CLIENT.encode(), b"203.0.113.10") + GET)
            assert 200 == (await other.answer()).status


@pytest.mark.parametrize("over_tls", [False, True])
async def test_without_descriptors_it_waits(tmp_path: Path, over_tls: bool) -> None:
    """When there are descriptors again, it accepts again; in between it does not spin."""
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("localhost", file="server")
    context = trusting(authority) if over_tls else None
    launcher = ("prlimit", "--nofile=64:64")
    async with world(tmp_path, *launcher, more_server=tls(pair) if over_tls else "") as around:
        pid = around.gateway.process.pid
        crowd = [
            await asyncio.open_connection("127.0.0.1", around.port, limit=1024) for _ in range(100)
        ]
        async with asyncio.timeout(20):
            while around.gateway.descriptors() < 60:
                await asyncio.sleep(0.02)
        before_s = cpu_s(pid)
        await asyncio.sleep(1)
        assert cpu_s(pid) - before_s < 0.5
        for _, writer in crowd:
            writer.transport.abort()
        async with asyncio.timeout(20):
            while True:
                try:
                    answer = await fetch(around.port, "GET", "/public/x", tls=context)
                except (OSError, h11.RemoteProtocolError):
                    continue
                if answer.status == 200:
                    break
        if over_tls:
            lines = [m for m in around.gateway.messages if m.startswith("no connection can be")]
            assert 1 == len(lines)


def cpu_s(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    """The gateway does not start without it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with world(tmp_path, listen=f'["127.0.0.1:{port}"]'):
                pass


@pytest.mark.parametrize("client_ip", ["peer", "proxy-protocol"])
async def test_a_burst_at_the_cap(tmp_path: Path, client_ip: str) -> None:
    """Of one connection too many in one turn of the loop, that one alone is refused."""
    is_proxied = client_ip == "proxy-protocol"
    async with (
        world(
            tmp_path,
            client_ip=client_ip,
            trusted_proxies="[127.0.0.1/32]" if is_proxied else "[]",
            max=f"{{connections_per_client: {BURST - 1}}}",
        ) as around,
        AsyncExitStack() as stack,
    ):
        around.gateway.process.send_signal(signal.SIGSTOP)
        clients = []
        for _ in range(BURST):
            client = await stack.enter_async_context(connected(around.port))
            clients.append(await client.send((V1 if is_proxied else b"") + GET))
        around.gateway.process.send_signal(signal.SIGCONT)
        answered = [await is_answered(client) for client in clients]
        assert BURST - 1 == sum(answered)
