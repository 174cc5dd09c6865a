"""
Heads of answers: what is judged by lines, and what is parsed, gives clients the same.

``HEADS=1000000 python -m pytest -o timeout=0 tests/hostile/test_answer_heads.py``: the long form.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from gateway.core.errors import Refusal
from gateway.core.limit import AnswerLimits, Limit, Spend
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Target
from gateway.core.route import Route
from gateway.headers.answer_limits import answer_cost
from gateway.headers.response import ResponseFields
from gateway.proxy.answer_costs import AnswerCosts
from gateway.proxy.client_side import ClientSide
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.server import ServingConfig
from gateway.proxy.downstream.writer import ResponseWriter
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.framing import NO_BODY
from gateway.proxy.http1.parser import NOTHING, require_c_parsers
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.known_answer import known_answer
from gateway.proxy.upstream.pool import UpstreamPool
from gateway.proxy.upstream.upstream import Upstream, UpstreamRules, UpstreamServer
from gateway.ratelimit.local import LocalLimiter
from gateway.util.deadlines import Deadlines
from tests.fakes.heads import request_head
from tests.fakes.transport import FakeTransport

HEADS = int(os.environ.get("HEADS", "20000"))
SEED = int(os.environ.get("SEED", "20261130"))
CORS = b"Access-Control-Allow-Origin: https://a\r\n"
LIMITS = AnswerLimits(b'RateLimit: "a";r=1;t=2\r\n', (Spend(Limit("a", 10, 60), "203.0.113.9"),))
STEPS = 6
"""Iterations of the event loop in which an exchange over fake transports ends, if it does."""
STATUS = slice(9, 12)
WITHOUT_BODY = (b"204", b"304")
"""After these a connection rests for a moment; which request would find it again is chance."""

STATUS_LINES = (
    *(b"HTTP/1.1 200 OK",) * 12,
    *(b"HTTP/1.1 404 Not Found", b"HTTP/1.1 302 Moved Temporarily", b"HTTP/1.1 500 it broke"),
    *(b"HTTP/1.1 426 Upgrade Required", b"HTTP/1.1 205 Reset Content", b"HTTP/1.1 599 x"),
    *(b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 103 Early Hints"),
    *(b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.0 200 OK", b"HTTP/1.2 200 OK"),
    *(b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1  200 OK", b"HTTP/1.1 200 OK "),
    *(b"HTTP/1.1 200 O\tK", b"HTTP/1.1 200 \xe4", b"HTTP/1.1 999 x", b"HTTP/1.1 20 x"),
    *(b"http/1.1 200 OK", b"ICY 200 OK"),
)  # fmt: skip
FIELDS = (
    *(b"Content-Type: application/json", b"Date: Thu, 01 Jan 2026 00:00:00 GMT", b"Server: a") * 3,
    *(b"Vary: Origin", b"Cache-Control: no-store", b'ETag: W/"%d"', b"X-Id: %d", b"x:y") * 2,
    *(b"Set-Cookie: a=%d; Path=/", b"Set-Cookie: s=1", b"set-cookie:  =s=2", b"Link: <a>, <b>"),
    *(b"Connection: keep-alive", b"Keep-Alive: timeout=5", b"Connection: Keep-Alive", b"TE: x"),
    *(b"Access-Control-Allow-Origin: *", b"access-control-max-age: 5", b"X-Request-Id: app"),
    *(b"Content-Encoding: gzip", b"X-Text: \xc3\xa4 \xff", b"X-Tabs:\ta\t b\t", b"X-Empty:"),
    *(b"X-Gateway-Cost: %d", b"x-gateway-cost:  7\t", b"X-Gateway-Cost: x", b"ratelimit: app"),
    *(b"X-RateLimit-Limit: %d", b"RateLimit-Policy: app", b"X-RateLimit-Reset: 0"),
    *(b"Location: /a", b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT", b"content-type: a"),
)  # fmt: skip
ODD_FIELDS = (
    *(b"Connection: close", b"Connection: X-Id, keep-alive", b"Connection:", b"Upgrade: h2c"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", b"Trailer: X-Id", b"Host: a"),
    *(b"Content-Length: 0", b"Content-Length: 5", b"content-length: +5", b"Content-Length : 5"),
    *(b"Proxy-Connection: close", b"Sec-WebSocket-Key1: a", b"Proxy-Authenticate: Basic"),
    *(b" folded", b"\tContent-Length: 5", b"no colon", b": no name", b"X Y: a", b"X\xff: a"),
    *(b"X-Control: a\x01b", b"X-Nul: \x00", b"X-Del: \x7f", b"X-CR: a\rb", b"X-LF: a\nb", b""),
    *(b"X-Long: " + b"l" * 600, b"X-Longer: " + b"l" * 4090, b"User-Agent: x"),
)  # fmt: skip
LENGTHS = (
    *(b"Content-Length: %d",) * 12,
    *(b"content-length: %d", b"content-length: %d", b"CONTENT-LENGTH: %d", b"Content-Length:%d"),
    *(b"Content-Length: 0%d", b"Content-Length: %d ", b"Content-Length:  %d"),
    b"Content-Length: %d0",
)  # fmt: skip
BODILESS = (b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 x")
CODINGS = (
    *(b"Transfer-Encoding: chunked", b"transfer-encoding: chunked") * 6,
    *(b"Transfer-Encoding: Chunked", b"Transfer-Encoding:chunked", b"TRANSFER-ENCODING: chunked"),
    *(b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked ", b"Content-Length: 7"),
)  # fmt: skip
CHUNKS = (
    *(b"%x\r\n%b\r\n",) * 20,
    *(b"%X\r\n%b\r\n", b"0%x\r\n%b\r\n", b"%x;a=b\r\n%b\r\n", b"%x \r\n%b\r\n"),
    *(b"%x\n%b\r\n", b"%x\r\n%bd\r\n", b"%x\r\n%b", b"+%x\r\n%b\r\n", b"0x%x\r\n%b\r\n"),
)  # fmt: skip
ENDS = (
    *(b"0\r\n\r\n",) * 12,
    *(b"", b"00\r\n\r\n", b"0;a\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"0\r\n\r\n0\r\n\r\n", b"0\r\n"),
)  # fmt: skip
BYTES = b"\r\n\0\t :,;=-_aZ09\x7f\x80\xff"


class Answer(NamedTuple):
    """What one exchange came to."""

    sent: bytes
    """What the client got."""
    refusal: str
    keeps_app: bool
    """Whether the connection to the app serves another exchange."""
    keeps_client: bool
    charged: list[int | None]
    """What the answer cost; None for a cost that was ignored."""


class Costs(AnswerCosts):
    """Writes down what is charged."""

    def __init__(self) -> None:
        super().__init__(LocalLimiter())
        self.charged: list[int | None] = []

    def charge(self, outbound: Outbound, told: str) -> None:
        if outbound.limits is not None:
            self.charged.append(answer_cost(told))


class AppTransport(FakeTransport):
    """An app that answers at once, in one read or in several."""

    def __init__(self, answers: list[list[bytes]]) -> None:
        super().__init__()
        self._answers = answers

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        for read in self._answers.pop(0) if self._answers else ():
            asyncio.get_running_loop().call_soon(self.protocol.data_received, read)


class Relay:
    """A client's connection and the way to an app, for one exchange after the other."""

    writing_paused = False

    def __init__(self, fields: ResponseFields) -> None:
        loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(loop, 1000.0)
        self._deadlines.close()
        self._batcher = WriteBatcher(loop)
        server = SimpleNamespace(
            loop=loop,
            limits=ConnectionLimits(),
            write_batcher=self._batcher,
            is_draining=False,
            http_date=lambda: b"Date: now\r\n",
        )
        self.writer = ResponseWriter(cast("Any", server))
        self._fields = fields
        self._costs = Costs()

    def begin(self, answers: list[list[bytes]]) -> None:
        """Forget every connection to the app; a new one answers with ``answers`` in turn."""
        loop = asyncio.get_running_loop()
        self._app = AppTransport(answers)
        self._pool = UpstreamPool(loop, self._connect, self._deadlines, self._batcher, 10)
        upstream = Upstream(
            "app",
            [UpstreamServer.of("a", "a", self._connect, self._pool)],
            UpstreamRules(),
            loop,
            lambda *_: None,
        )
        self._serving = ServingConfig(
            cast("Any", None),
            {"app": upstream},
            self._fields,
            1000,
            (),
            self._costs,
        )

    async def _connect(self, make: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        if self._app.protocol is not None:
            raise ConnectionRefusedError
        self._app.protocol = connection = make()
        connection.connection_made(self._app)
        return connection

    async def drain(self) -> None:
        """Return at once."""

    async def read_body(self, _: object) -> bytes:
        """Return the end of the body: requests have none."""
        return b""

    async def answer(
        self, method: str, version: tuple[int, int], cors: bytes, limits: AnswerLimits | None
    ) -> Answer:
        """Ask the app; where it does not answer in full, its connection is lost."""
        self.writer.transport = client = FakeTransport()
        self.writer.will_close = False
        self.writer.start("id-1", method, version, keeps_alive=True)
        target = Target("/x", "/x", has_encoded_slash=False)
        peer = request_head().peer
        route = Route("r", "/*", "app")
        outbound = Outbound(route, method, target, b"", None, peer, cors, limits)
        client_side, record = cast("ClientSide", self), RequestRecord()
        exchange = Exchange(client_side, outbound, NO_BODY, NOTHING, self._serving, record)
        running = asyncio.ensure_future(exchange.run())
        for _ in range(STEPS):
            await asyncio.sleep(0)
            if running.done():
                break
        else:
            self._app.protocol.eof_received()
            self._app.protocol.connection_lost(None)
        refusal = ""
        try:
            await running
        except Refusal as error:
            refusal = repr(error)
        self._batcher.flush()
        keeps_app = self._pool.usage()[0] > 0
        charged, self._costs.charged = self._costs.charged, []
        keeps_client = not self.writer.will_close
        return Answer(bytes(client.written), refusal, keeps_app, keeps_client, charged)


def lengthless(chance: random.Random) -> bytes:
    """An answer that ends with its head, or in chunks, with one oddity or none."""
    lines = [chance.choice(FIELDS) for _ in range(chance.randrange(5))]
    lines = [line.replace(b"%d", b"%d" % chance.randrange(9)) for line in lines]
    has_body = chance.random() < 0.6
    if has_body:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(CODINGS))
    if chance.random() < 0.15:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(ODD_FIELDS))
    status = STATUS_LINES[0] if has_body else chance.choice(BODILESS)
    if chance.random() < 0.1:
        status = chance.choice(STATUS_LINES)
    head = b"\r\n".join([status, *lines, b"", b""])
    if not has_body and chance.random() < 0.9:
        return head
    sizes = [chance.choice((1, 5, 10, 10, 30, 300)) for _ in range(chance.choice((0, 1, 1, 2, 17)))]
    chunks = [chance.choice(CHUNKS) % (size, b"c" * size) for size in sizes]
    return head + b"".join(chunks) + chance.choice(ENDS)


def random_head(chance: random.Random) -> bytes:
    """An answer as apps send it, with one oddity or none."""
    body = b"b" * chance.choice((0, 1, 5, 5, 5, 12, 300))
    lines = [chance.choice(FIELDS) for _ in range(chance.randrange(7))]
    if chance.random() < 0.97:
        length = chance.choice(LENGTHS).replace(b"%d", b"%d" % len(body))
        lines.insert(chance.randrange(len(lines) + 1), length)
    if chance.random() < 0.25:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(ODD_FIELDS))
    lines = [line.replace(b"%d", b"%d" % chance.randrange(9)) for line in lines]
    status = STATUS_LINES[0] if chance.random() < 0.8 else chance.choice(STATUS_LINES)
    return b"\r\n".join([status, *lines, b"", body])


def mutated(data: bytes, chance: random.Random) -> bytes:
    """``data`` with a part changed, doubled, moved or dropped."""
    at = chance.randrange(len(data))
    until = min(len(data), at + chance.choice((1, 1, 1, 2, 9)))
    some = bytes(chance.choices(BYTES, k=chance.choice((1, 1, 2))))
    lines = data.split(b"\r\n")
    line = chance.randrange(len(lines))
    return chance.choice(
        (
            data[:at] + some + data[until:],
            data[:at] + some + data[at:],
            data[:at] + data[until:],
            data[:at],
            b"\r\n".join([*lines[:line], lines[line], *lines[line:]]),
            data.replace(b"\r\n", chance.choice((b"\n", b"\r", b"\r\r\n")), 1 + line),
            data + data[at:],
        )
    )


def random_answer(chance: random.Random) -> list[bytes]:
    """What an app sends, as it is read."""
    data = random_head(chance) if chance.random() < 0.7 else lengthless(chance)
    while chance.random() < 0.3:
        data = mutated(data, chance) or b"H"
    cut = chance.randrange(len(data)) if chance.random() < 0.1 else 0
    return [data[:cut], data[cut:]] if cut else [data]


async def test_lines_and_parser_agree() -> None:
    """The client gets the same bytes or the same refusal, and the same connections live on."""
    require_c_parsers()
    chance = random.Random(SEED)
    by_lines = ResponseFields("s")
    by_parser = ResponseFields("s")
    by_parser.of_apps = cast("Any", None)
    relays = [Relay(by_lines), Relay(by_parser)]
    ways: Counter[str] = Counter()
    coming: list[list[bytes]] = []
    for _ in range(HEADS):
        if not coming:
            coming = [random_answer(chance) for _ in range(3)]
            for relay in relays:
                relay.begin(coming.copy())
        reads = coming.pop(0)
        method = "HEAD" if chance.random() < 0.05 else "GET"
        version = (1, 0) if chance.random() < 0.1 else (1, 1)
        cors = CORS if chance.random() < 0.2 else b""
        limits = LIMITS if chance.random() < 0.2 else None
        ours, parsed = [await relay.answer(method, version, cors, limits) for relay in relays]
        assert parsed == ours, reads
        assert b"\r\nx-gateway-cost:" not in ours.sent.partition(b"\r\n\r\n")[0].lower(), reads
        is_known = known_answer(reads[0], by_lines.of_apps) is not None
        ways["by lines" if is_known else "refused" if ours.refusal else "parsed"] += 1
        if not ours.keeps_app or ours.sent[STATUS] in WITHOUT_BODY:
            coming = []
    assert min(ways["by lines"] / 3, ways["refused"], ways["parsed"]) > HEADS / 20, ways
