"""The two C programs, app and load generator: they work correctly, so that figures are right."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from benchmarks.build import CannotRun, NotHere, build, build_load_with_tls
from benchmarks.callers import MARK
from benchmarks.certificate import write_certificate
from benchmarks.servers import free_port, running

pytestmark = pytest.mark.skipif(
    shutil.which(os.environ.get("CC", "cc")) is None, reason="needs a C compiler"
)

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WARM_UP_S = 0.05


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the compiled programs."""
    directory = tmp_path_factory.mktemp("build")
    for name in ("load", "upstream"):
        build(name, directory)
    return directory


@pytest.fixture
def port(programs: Path, tmp_path: Path) -> Iterator[int]:
    """The port of a running app."""
    number = free_port()
    with running((programs / "upstream", str(number)), number, tmp_path / "log"):
        yield number


@pytest.fixture
def client(port: int) -> Iterator[socket.socket]:
    """A connection to the app."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def read_answers(connection: socket.socket, count: int) -> bytes:
    """Read ``count`` equal answers, and check that nothing follows; return one of them."""
    first = connection.recv(65536)
    size = first.index(b"\r\n\r\n") + 4 + 27
    data = bytearray(first)
    while len(data) < count * size:
        data += connection.recv(65536)
    assert bytes(data) == bytes(data[:size]) * count
    return bytes(data[:size])


async def loaded(
    program: Path,
    port: int,
    status: int = 200,
    *,
    options: tuple[str, ...] = (),
    path: str = "/",
    fields: tuple[str, ...] = ("X-A: b",),
    enough: int = 3,
) -> dict[str, Any]:
    """
    Run the load generator with two connections in a short window, and return its report.

    If a machine stalls, fewer than ``enough`` requests are answered or fail in the window. A longer
    one is tried then.
    """
    counted: dict[str, Any] = {"requests": 0, "errors": 0}
    window_s = 0.1
    while counted["requests"] + counted["errors"] < enough:
        window_s *= 2
        arguments = [*options, *map(str, (port, 2, WARM_UP_S, window_s, status)), path, *fields]
        process = await asyncio.create_subprocess_exec(program, *arguments, stdout=subprocess.PIPE)
        output, _ = await process.communicate()
        first, second = output.decode().splitlines()
        assert first == "measuring"
        counted = json.loads(second)
        assert counted["seconds"] >= window_s
    return counted


@asynccontextmanager
async def answering(
    *parts: bytes, heads: list[bytes] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """
    Serve on the returned port: every request is answered with ``parts``, sent one by one.

    The heads of the requests are added to ``heads``.
    """
    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if heads is not None:
                    heads.append(head)
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(0.001)
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.get_running_loop().create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for task in served:
        task.cancel()
    await asyncio.gather(*served, return_exceptions=True)


# --- upstream ----------------------------------------------------------------------------------


def test_answer(client: socket.socket) -> None:
    """A request gets one answer with JSON, whose length is that of Content-Length."""
    client.sendall(REQUEST)
    head, _, body = read_answers(client, 1).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert json.loads(body) == {"message": "Hello, World!"}


@pytest.mark.parametrize("cut", range(1, len(REQUEST)))
def test_request_in_two_parts(client: socket.socket, cut: int) -> None:
    """A request that arrives in two parts is one request, wherever it is split."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(REQUEST + REQUEST[:cut])
    read_answers(client, 1)
    client.sendall(REQUEST[cut:])
    read_answers(client, 1)


def test_an_extra_carriage_return(client: socket.socket) -> None:
    """The end of a head is found after an extra CR."""
    client.sendall(b"GET / HTTP/1.1\r\nX: a\r\r\n\r\n")
    read_answers(client, 1)


def test_more_pipelined_requests_than_the_socket_holds(client: socket.socket) -> None:
    """Answers wait for a client that does not read yet, complete and in order."""
    count = 100_000
    sender = Thread(target=client.sendall, args=(REQUEST * count,))
    sender.start()
    read_answers(client, count)
    sender.join()


def test_bytes(client: socket.socket) -> None:
    """The path can request any number of bytes."""
    client.sendall(b"GET /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n" + REQUEST)
    data = bytearray()
    while not data.endswith(b'World!"}'):
        data += client.recv(65536)
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    assert b"Content-Length: 1000000\r\n" in head
    assert rest.startswith(b"x" * 1_000_000 + b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("number", "size"), [("0", 64), ("000000000000000a", 74), ("ffffffffffffffff", 64 + 255)]
)
def test_answers_vary_by_the_number_in_the_path(
    client: socket.socket, number: str, size: int
) -> None:
    """The length of an answer below /vary/ depends on the number; its date is that of today."""
    client.sendall(b"GET /vary/%s?page=1 HTTP/1.1\r\nHost: a\r\n\r\n" % number.encode())
    data = client.recv(65536)
    while len(data) < data.index(b"\r\n\r\n") + 4 + size:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: %d\r\n" % size in head
    assert body == b"x" * size
    date = parsedate_to_datetime(head.partition(b"Date: ")[2].decode())
    assert abs(datetime.now(UTC) - date) < timedelta(minutes=1)


@pytest.mark.parametrize("cut", [0, 1, 50_000, 100_000])
def test_a_body_is_dropped(client: socket.socket, cut: int) -> None:
    """A body is read to its end and dropped; the request after it is answered as well."""
    head, body = b"POST / HTTP/1.1\r\ncontent-length: 100000\r\n\r\n", b"\r\n\r\n" * 25_000
    client.sendall(head + body[:cut])
    client.sendall(body[cut:] + REQUEST)
    read_answers(client, 2)


@pytest.mark.parametrize("cut", range(1, 2 + 4 + 5))
def test_echo(client: socket.socket, cut: int) -> None:
    """After an upgrade, frames are echoed without their mask, wherever they are split."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n")
    answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    frame = bytes.fromhex("8185 37fa213d 7f9f4d5158")  # "Hello", RFC 6455 section 5.7
    client.sendall(frame + frame[:cut])
    client.sendall(frame[cut:])
    got = b""
    while len(got) < 14:
        got += client.recv(65536)
    assert got == b"\x81\x05Hello" * 2


def test_stop(programs: Path) -> None:
    """SIGTERM ends the app with exit status 0."""
    number = free_port()
    process = subprocess.Popen([programs / "upstream", str(number)])
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", number), timeout=1).close()
            break
        except ConnectionRefusedError:
            pass
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


# --- load --------------------------------------------------------------------------------------


async def test_load(programs: Path, port: int) -> None:
    """Against a healthy app nothing fails, and the latencies are in order."""
    counted = await loaded(programs / "load", port, enough=100)
    assert (counted["errors"], counted["unexpected"]) == (0, 0)
    assert 0 < counted["p50_us"] <= counted["p99_us"] <= counted["max_us"]


async def test_fields_of_a_file(programs: Path, tmp_path: Path) -> None:
    """Each request has one line of the file, and all lines are used."""
    file, heads = tmp_path / "lines", list[bytes]()
    file.write_text("Cookie: a=1\nCookie: a=22\nCookie: a=333")
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", heads=heads) as port:
        counted = await loaded(programs / "load", port, options=("-f", str(file)), enough=60)
    assert (counted["errors"], counted["unexpected"]) == (0, 0)
    sent = {head.partition(b"\r\n")[2].partition(b"\r\n")[2] for head in heads}
    assert sent == {b"X-A: b\r\nCookie: a=%s\r\n\r\n" % value for value in (b"1", b"22", b"333")}


async def test_fields_of_two_files(programs: Path, tmp_path: Path) -> None:
    """Each file gives a line of its own to each request, in turn."""
    first, second, heads = tmp_path / "1", tmp_path / "2", list[bytes]()
    first.write_text("X-A: 1\nX-A: 22\n")
    second.write_text("X-B: 1\nX-B: 22\nX-B: 333\n")
    options = ("-f", str(first), "-f", str(second))
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", heads=heads) as port:
        await loaded(programs / "load", port, options=options, fields=(), enough=60)
    pairs = [tuple(map(len, head.split(b"\r\n")[2:4])) for head in heads]
    assert set(pairs) == {(6 + a, 6 + b) for a in (0, 1) for b in (0, 1, 2)}


async def test_marks_beside_fields_of_a_file(programs: Path, tmp_path: Path) -> None:
    """A mark is replaced by another number in each request, in the path and in the file's line."""
    file, heads = tmp_path / "lines", list[bytes]()
    file.write_text(f"X-C: d\nX-E: {MARK}\n")
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", heads=heads) as port:
        options = ("-f", str(file))
        await loaded(programs / "load", port, options=options, path=f"/{MARK}", enough=20)
    assert len(set(heads)) == len(heads)
    assert not any(MARK.encode() in head for head in heads)


@pytest.mark.parametrize("text", [None, ""])
def test_a_file_without_lines(programs: Path, tmp_path: Path, text: str | None) -> None:
    """The load generator fails on a missing or empty file."""
    file = tmp_path / "lines"
    if text is not None:
        file.write_text(text)
    arguments = ["-f", str(file), "1", "1", "0", "0", "200", "/"]
    ended = subprocess.run([programs / "load", *arguments], capture_output=True, check=False)
    assert ended.returncode == 1
    assert str(file).encode() in ended.stderr


async def test_a_number_of_requests(programs: Path, port: int) -> None:
    """A window ends early when so many requests are answered, and a few that were under way."""
    arguments = ("-m", "50", str(port), "2", "0", "3600", "200", "/")
    process = await asyncio.create_subprocess_exec(
        programs / "load", *arguments, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert 50 <= json.loads(output.splitlines()[1])["requests"] <= 51


async def test_unexpected_status(programs: Path, port: int) -> None:
    """Answers with another status than the expected one are counted as unexpected."""
    counted = await loaded(programs / "load", port, status=401)
    assert counted["unexpected"] == counted["requests"] > 0


async def test_answer_in_parts(programs: Path) -> None:
    """A long answer in several parts is one answer; the case of its fields does not matter."""
    parts = (
        b"HTTP/1.1 200 OK\r\nX-Content-Length: 1\r\ncontent-le",
        b"ngth:200000\r\n\r",
        b"\n",
        b"x" * 100_000,
        b"x" * 100_000,
    )
    async with answering(*parts) as port:
        counted = await loaded(programs / "load", port)
    assert (counted["errors"], counted["unexpected"]) == (0, 0)


async def test_marks(programs: Path) -> None:
    """Requests differ in their marks, and nowhere else."""
    heads: list[bytes] = []
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", heads=heads) as port:
        counted = await loaded(
            programs / "load",
            port,
            path=f"/{MARK}?a=b",
            fields=("X-A: b", f"X-Trace: {MARK}"),
            enough=10,
        )
    assert counted["unexpected"] == 0
    pattern = re.compile(
        rb"GET /([0-9a-f]{16})\?a=b HTTP/1\.1\r\nHost: \S+\r\n"
        rb"X-A: b\r\nX-Trace: ([0-9a-f]{16})\r\n\r\n"
    )
    numbers = [number for head in heads for number in pattern.fullmatch(head).groups()]  # type: ignore[union-attr] # None is what fails
    assert len(set(numbers)) == len(numbers) >= 2 * 10


@pytest.mark.parametrize("size", [10, 100_000, 10_000_000])
async def test_bodies_up(programs: Path, port: int, size: int) -> None:
    """A body is sent completely, even if the socket does not take it at once."""
    counted = await loaded(programs / "load", port, options=("-b", str(size)))
    assert (counted["errors"], counted["unexpected"]) == (0, 0)
    assert counted["body_bytes"] == counted["requests"] * (size + 27) > 0


async def test_bodies_down(programs: Path, port: int) -> None:
    """The bytes of the bodies of answers are counted."""
    counted = await loaded(programs / "load", port, path="/bytes/100000")
    assert (counted["errors"], counted["unexpected"]) == (0, 0)
    assert counted["body_bytes"] == counted["requests"] * 100_000 > 0


async def test_new_connections(programs: Path) -> None:
    """Closing a connection after its answer is no error."""
    # A server in Python: one in C closes so many that their ports are missing for a minute.
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as port:
        counted = await loaded(programs / "load", port, options=("-n",), enough=10)
    assert (counted["errors"], counted["unexpected"]) == (0, 0)


async def test_rate(programs: Path, port: int) -> None:
    """With a rate, no more requests are sent than were due by then."""
    began_s = time.monotonic()  # a busy machine makes the time before the window longer
    counted = await loaded(programs / "load", port, options=("-r", "500"), enough=50)
    assert (counted["errors"], counted["unexpected"]) == (0, 0)
    assert counted["requests"] <= 500 * (time.monotonic() - began_s) + 1


async def test_latency_at_a_rate(programs: Path) -> None:
    """A request that waits for the answer before it has waited since it was due."""
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as port:
        counted = await loaded(programs / "load", port, options=("-r", "1000000"))
    assert counted["errors"] == 0
    assert counted["p50_us"] > WARM_UP_S * 1_000_000


@pytest.mark.parametrize("options", [("-r", "-1"), ("-r", "10", "-n")])
def test_a_rate_that_cannot_be(programs: Path, options: tuple[str, ...]) -> None:
    """A negative rate, and one of new connections, are wrong usage."""
    command = [str(programs / "load"), *options, "1", "1", "0", "0", "200", "/"]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == 2
    assert b"[-n | -r RATE]" in ended.stderr


async def test_messages(programs: Path, port: int) -> None:
    """Against an app that echoes, every message comes back unchanged."""
    options, fields = ("-w", "32"), ("Upgrade: websocket",)
    counted = await loaded(programs / "load", port, 101, options=options, fields=fields, enough=100)
    assert (counted["errors"], counted["unexpected"]) == (0, 0)


async def test_tls(tmp_path: Path) -> None:
    """The load generator works over TLS, with kept and with new connections."""
    try:
        program = build_load_with_tls(tmp_path)
    except NotHere as why:
        pytest.skip(str(why))
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    write_certificate(certificate, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    async with answering(answer, tls=context) as port:
        kept = await loaded(program, port, options=("-t",))
        new = await loaded(program, port, options=("-t", "-n"))
    for counted in (kept, new):
        assert (counted["errors"], counted["unexpected"]) == (0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="no length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", id="too long"),
        pytest.param(b"what?\r\nContent-Length: 0\r\n\r\n", id="not HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, id="endless head"),
    ],
)
async def test_broken_answers_are_errors(programs: Path, answer: bytes) -> None:
    """An invalid answer is an error and not a request, and the load goes on."""
    async with answering(answer) as port:
        counted = await loaded(programs / "load", port)
    assert counted["requests"] == 0
    assert counted["errors"] > 0


# --- build -------------------------------------------------------------------------------------


def test_built_once(programs: Path) -> None:
    """An unchanged program is not compiled again."""
    built_ns = (programs / "load").stat().st_mtime_ns
    assert build("load", programs).stat().st_mtime_ns == built_ns


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler, the error is a sentence instead of a traceback."""
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CannotRun, match=r"load\.c was not compiled"):
        build("load", tmp_path)
