"""TLS with clients: versions, certificates, and files that change."""

import asyncio
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import h11
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from gateway.proxy.downstream.tls import CertificateFiles
from tests.fakes.certificates import Authority, serial_in, serial_of
from tests.fakes.http import connected, fetch
from tests.fakes.load import load
from tests.fakes.sockets import echoing
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"\r\nConnection: close\r\n\r\n"
KERNEL_TAKES = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
"""Of what one connection sends, while its peer does not read."""


def trusting(authority: Authority, own: CertificateFiles | None = None) -> ssl.SSLContext:
    """A client that believes ``authority``, and shows its ``own`` certificate."""
    context = ssl.create_default_context(cafile=authority.file)
    if own:
        context.load_cert_chain(*own)
    return context


async def curl(*arguments: str) -> tuple[int, str]:
    """What curl makes of it: exit status and output."""
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--max-time", "30", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def serial_at(port: int, authority: Authority, host: str = "localhost") -> int:
    """Which certificate a new client sees."""
    async with connected(port, trusting(authority), host) as client:
        shown = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return serial_of(shown)


def write(path: str, text: str) -> None:
    """Spoil a file."""
    Path(path).write_text(text)


class House:
    """A world with TLS, and who issued its certificates."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder, "ca")
        self.pair = self.authority.issue("localhost", file="server")
        self.second = self.authority.issue("b.example", "*.c.example", file="second")

    @property
    def config(self) -> str:
        """The lines of ``server``."""
        return (
            f"  tls:\n    certificate: {self.pair.certificate}\n    key: {self.pair.key}\n"
            f"    certificates: [{{certificate: {self.second.certificate},"
            f" key: {self.second.key}}}]\n"
        )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_house(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[House, World]]:
    """One gateway for the tests that change nothing."""
    house = House(tmp_path_factory.mktemp("certificates"))
    folder = tmp_path_factory.mktemp("gateway")
    timeouts = "{head: 1s, keep_alive: 2s}"
    async with world(folder, more_server=house.config, timeouts=timeouts) as around:
        yield house, around


@pytest.fixture
def around(shared_house: tuple[House, World]) -> World:
    """The world, as new."""
    shared_house[1].forget()
    return shared_house[1]


@pytest.fixture
def house(shared_house: tuple[House, World]) -> House:
    """Its certificates."""
    return shared_house[0]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_curl_gets_through(around: World, house: House, version: str) -> None:
    """With a certificate that is checked; the app is told that it was https."""
    url = f"https://localhost:{around.port}/public/x"
    versions = (f"--tlsv{version}", "--tls-max", version)
    status, said = await curl("--cacert", str(house.authority.file), "--http1.1", *versions, url)
    assert (0, "hello") == (status, said)
    assert ["https"] == around.app.seen[0].values("X-Forwarded-Proto")
    assert "proto=https" in around.app.seen[0].values("Forwarded")[0]


async def test_tls_1_1_is_refused(around: World, house: House) -> None:
    """TLS 1.1 ends in the handshake."""
    url = f"https://localhost:{around.port}/public/x"
    old = ("--tls-max", "1.1", "--tlsv1.0", "--ciphers", "DEFAULT@SECLEVEL=0")
    status, said = await curl("--cacert", str(house.authority.file), *old, url)
    assert 35 == status, said
    assert [] == around.app.seen


async def test_a_host_gets_its_certificate(around: World, house: House) -> None:
    """The others get the first one."""
    first, second = serial_in(house.pair.certificate), serial_in(house.second.certificate)
    assert first == await serial_at(around.port, house.authority)
    assert second == await serial_at(around.port, house.authority, "b.example")
    assert second == await serial_at(around.port, house.authority, "x.c.example")


async def test_a_host_that_is_no_name_leaves_no_trace(around: World, house: House) -> None:
    """Its handshake is refused, and nothing is logged."""
    said, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = trusting(house.authority).wrap_bio(said, hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client_side.do_handshake()
    await around.gateway.said("heads are read by")  # the last line of its start
    around.gateway.messages.clear()
    async with connected(around.port) as client:
        await client.send(hello.read().replace(b"localhost", b"l\xffcalhost"))
        assert await client.is_closed()
    first = serial_in(house.pair.certificate)
    assert first == await serial_at(around.port, house.authority)
    await asyncio.sleep(0.2)  # what it says comes through a pipe
    assert [] == around.gateway.messages


async def test_plain_http_is_refused(around: World) -> None:
    """It is told so; whatever else is no handshake is closed without a word."""
    async with connected(around.port) as client:
        await client.send(GET)
        assert 400 == (await client.answer()).status
        assert await client.is_closed()
    async with connected(around.port) as client:
        await client.send(b"\x80")
        assert await client.is_closed()
    assert [] == around.app.seen


async def test_silent_connections_are_closed(around: World, house: House) -> None:
    """A handshake has the time of a head; so has the head after it."""
    for said in (b"", b"\x16", b"\x16\x03\x01"):
        async with connected(around.port) as client:
            await client.send(said)
            assert await client.is_closed()
    async with connected(around.port, trusting(house.authority)) as client:
        assert await client.is_closed()


async def test_a_connection_is_kept(around: World, house: House) -> None:
    """Requests follow each other, also pipelined; large bodies go both ways."""
    body = bytes(range(256)) * 4096
    around.app.answer(
        "/public/large", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    async with connected(around.port, trusting(house.authority)) as client:
        await client.send(GET + GET)
        assert [200, 200] == [(await client.answer()).status for _ in range(2)]
        await client.send(
            b"POST /public/large HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
            % len(body)
            + body
        )
        assert body == (await client.answer()).body
    assert body == around.app.seen[-1].body


async def test_a_refusal_is_read_by_who_is_still_sending(around: World, house: House) -> None:
    """The gateway listens on until the client has read why."""
    async with connected(around.port, trusting(house.authority)) as client:
        await client.send(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n")
        await client.send(b"x" * 100_000)
        assert 401 == (await client.answer()).status


async def test_the_last_answer_is_taken_slowly(around: World, house: House) -> None:
    """A client that does not read for a while gets all of the answer that ends its connection."""
    size = KERNEL_TAKES + 400_000  # the rest waits in the gateway
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size
    around.app.answer("/public/large", answer)

    def download() -> int:
        context = trusting(house.authority)
        with socket.socket() as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            plain.connect(("127.0.0.1", around.port))
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                client.sendall(GET.replace(b"/x", b"/large").replace(b"\r\n\r\n", LAST))
                time.sleep(3.5)
                return sum(iter(lambda: len(client.recv(1 << 16)), 0))

    assert size < await asyncio.to_thread(download)


ECHO = """
  echo: {{servers: ["http://127.0.0.1:{port}"]}}
"""
ECHO_ROUTE = '  - {name: socket, match: {path: "/socket/*"}, upstream: echo}\n'


async def test_a_websocket_over_tls(tmp_path: Path) -> None:
    """Large messages pass both ways, and signing out closes it with a code that the page reads."""
    house = House(tmp_path)
    context = trusting(house.authority)
    async with (
        echoing() as port,
        world(
            tmp_path,
            more_server=house.config,
            more_upstreams=ECHO.format(port=port),
            more_routes=ECHO_ROUTE,
        ) as around,
    ):
        token = around.bearer()
        signed_in = await fetch(around.port, "POST", "/_gateway/session", token, tls=context)
        cookie = "Cookie: " + signed_in.value("Set-Cookie").partition(";")[0]
        async with connect(
            f"wss://localhost:{around.port}/socket/x",
            ssl=context,
            origin=Origin("http://localhost"),
            additional_headers={"Cookie": cookie.removeprefix("Cookie: ")},
            max_size=None,
        ) as socket:
            for message in ("hello", b"x" * 3_000_000):
                await socket.send(message)
                assert message == await socket.recv()
            out = ("Origin: http://localhost", cookie)
            gone = await fetch(around.port, "DELETE", "/_gateway/session", *out, tls=context)
            assert 204 == gone.status
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 20)
            assert closed.value.rcvd is not None
            assert 1008 == closed.value.rcvd.code


# --- files that change ----------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_certificate_is_replaced_under_load(tmp_path: Path, workers: str) -> None:
    """No request fails; connections go on, and new ones see the new certificate."""
    house = House(tmp_path)
    context = trusting(house.authority)
    async with (
        world(tmp_path, more_server=house.config, workers=workers) as around,
        connected(around.port, context) as old,
        load(around.port, "/public/x", clients=4, tls=context) as made,
        load(around.port, "/public/close", clients=2, tls=context) as closing,
    ):
        around.app.answer(
            "/public/close",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        )
        for _ in range(3):
            house.authority.issue("localhost", file="server")
            async with asyncio.timeout(20):
                while serial_in(house.pair.certificate) != await serial_at(
                    around.port, house.authority
                ):
                    await asyncio.sleep(0.05)
            await made.more(10)
        assert 200 == (await (await old.send(GET)).answer()).status
    for load_made in (made, closing):
        assert [] == load_made.broken
        assert {200} == set(load_made.answers)


async def test_an_unusable_certificate_file_changes_nothing(tmp_path: Path) -> None:
    """It is reported; the certificate in use goes on, also through a reload of the config."""
    house = House(tmp_path)
    serial = serial_in(house.pair.certificate)
    async with world(tmp_path, more_server=house.config) as around:
        write(house.pair.certificate, "junk")
        await around.gateway.said("TLS files not reloaded")
        assert serial == await serial_at(around.port, house.authority)
        config = around.gateway.config
        config.write_text(config.read_text() + "\n# touched\n")
        await around.gateway.said("config reloaded")
        assert serial == await serial_at(around.port, house.authority)


async def test_tls_is_switched_on_by_a_reload(tmp_path: Path) -> None:
    """And off again; a config whose files cannot be used changes nothing."""
    house = House(tmp_path)
    async with world(tmp_path) as around:
        config = around.gateway.config
        plain = config.read_text()
        url = "  public_url"
        config.write_text(plain.replace(url, house.config + url).replace("server.crt", "none.crt"))
        await around.gateway.said("config not reloaded")
        assert 200 == (await around.get("/public/x")).status
        async with connected(around.port) as old:
            config.write_text(plain.replace(url, house.config + url))
            await around.gateway.said("config reloaded")
            assert serial_in(house.pair.certificate) == await serial_at(
                around.port, house.authority
            )
            assert 200 == (await (await old.send(GET)).answer()).status
        around.gateway.messages.clear()
        config.write_text(plain)
        await around.gateway.said("config reloaded")
        assert 200 == (await around.get("/public/x")).status


# --- clients' certificates ------------------------------------------------------------------------


async def test_client_certificates_are_required_with_client_ca(tmp_path: Path) -> None:
    """Other clients are refused, with an empty CA file too."""
    house = House(tmp_path)
    clients = Authority(tmp_path, "clients")
    friend = clients.issue(file="alice")
    stranger = Authority(tmp_path, "strangers").issue(file="mallory")
    config = house.config + f"    client_ca: {clients.file}\n"

    async def status(port: int, own: CertificateFiles | None) -> int:
        context = trusting(house.authority, own)
        try:
            return (await fetch(port, "GET", "/public/x", tls=context)).status
        except (
            OSError,
            h11.RemoteProtocolError,
        ):  # TLS 1.3 tells the client after its own handshake
            return 0

    async with world(tmp_path, more_server=config) as around:
        assert [200, 0, 0] == [await status(around.port, own) for own in (friend, None, stranger)]
        write(str(clients.file), "")
        await around.gateway.said("TLS files not reloaded")
        assert [200, 0, 0] == [await status(around.port, own) for own in (friend, None, stranger)]
        assert 2 == len(around.app.seen)


async def test_a_connection_accepted_before_the_drain_is_served(tmp_path: Path) -> None:
    """A client that has connected and not shaken hands yet has its request answered in a drain."""
    house = House(tmp_path)
    async with world(tmp_path, more_server=house.config) as around:
        async with connected(around.port) as client:
            assert serial_in(house.pair.certificate) == await serial_at(
                around.port, house.authority
            )  # so it was accepted, too
            around.gateway.process.send_signal(signal.SIGTERM)
            while await _is_accepting(around.port):
                await asyncio.sleep(0.02)
            await client.writer.start_tls(trusting(house.authority), server_hostname="localhost")
            await client.send(GET)
            assert 200 == (await client.answer()).status
        assert 0 == await asyncio.wait_for(around.gateway.process.wait(), 20)


async def _is_accepting(port: int) -> bool:
    try:
        async with connected(port):
            return True
    except ConnectionRefusedError:
        return False
