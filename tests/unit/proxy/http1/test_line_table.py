"""
The line table reads what it accepts as the parser does, byte for byte.

``LINE_TABLE_HEADS=1000000`` compares so many random requests (minutes, in one process).
"""

import asyncio
import itertools
import os
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest
from multidict import istr

from gateway.authn.credentials import CredentialReader
from gateway.core.errors import Refusal
from gateway.core.request import RequestHead, ValueWithMemo
from gateway.core.route import Auth, Route
from gateway.headers.request import IdentityNames, RequestFields
from gateway.proxy.downstream import assembler
from gateway.proxy.downstream.assembler import ParsedRequest
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.reader import ReadState, RequestReader
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.http1 import line_table
from gateway.proxy.http1.line_table import LineTable
from gateway.proxy.http1.parser import KNOWN_NAMES, NOTHING, HttpProtocol, StreamReader
from gateway.proxy.http1.strict import framing_of, keeps_alive
from gateway.routing.client_address import client_at
from tests.fakes.heads import request_head
from tests.fakes.heads_parsed import parsed_request
from tests.fakes.kernel import NEEDS_KERNEL, kernel_table
from tests.fakes.random_heads import random_request

HEADS = int(os.environ.get("LINE_TABLE_HEADS", "20000"))
LIMITS = ConnectionLimits(head_bytes=3000, fields=16)
MAX_BODY_BYTES = 30
PEER = client_at(IPv4Address("203.0.113.9"))
ROUTES = (
    Route("public", "/*", "app", auth=Auth.NONE),
    Route("trusting", "/*", "app", forward_credentials=True),
    Route(
        "passing", "/*", "app", passed_fields=frozenset({"x-amzn-oidc-data", "x-forwarded-user"})
    ),
)
FIELDS = RequestFields(
    IdentityNames(), "__Host-session", "app.example.com", credential_headers=("X-API-Key",)
)


@pytest.fixture
def bare_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that does not run."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


class Side:
    """A connection whose reads go to the line table first, or to the parser alone."""

    def __init__(self, table: LineTable | None, loop: asyncio.AbstractEventLoop) -> None:
        server = SimpleNamespace(
            limits=LIMITS,
            lines=table if table is not None else LineTable(KNOWN_NAMES),
            loop=loop,
            next_request_id=lambda: "id",
        )
        self.reader = RequestReader(cast("ProxyServer", server))
        self.reader.peer = PEER
        self._protocol = HttpProtocol(loop)
        self._has_table = table is not None
        self.was_tabular = False

    def receive(self, data: bytes) -> object:
        """Take a read between two messages; return all that became of it."""
        reader = self.reader
        whole = reader.take_whole(data) if self._has_table else None
        self.was_tabular = whole is not None
        is_open = self.was_tabular or reader.feed(data, self._protocol)
        entries = [described(entry) for entry in (reader.queue if whole is None else [whole])]
        reader.queue.clear()
        reader.is_serving = False
        splitter = reader.splitter
        state = (reader.state, splitter.is_in_head, splitter.partial_head, reader.is_holding)
        return (is_open, state, reader.early_data, entries)

    @property
    def is_between(self) -> bool:
        """Whether another request may follow."""
        return self.reader.state is ReadState.OPEN and self.reader.splitter.is_between


def described(entry: ParsedRequest | Refusal) -> object:
    """All that is read of a request, or why it is refused."""
    if isinstance(entry, Refusal):
        return type(entry), entry.reason
    head, message, body = entry
    try:
        framing: object = framing_of(message, body, MAX_BODY_BYTES)
    except Refusal as refusal:
        framing = type(refusal), refusal.reason
    return (
        (head.method, head.target, head.version, head.peer, head.request_id, head.upgrade),
        list(head.headers.items()),
        ([name.lower() for name in head.lines.names], tuple(head.lines.lines)),
        [
            line.lower().startswith(name.lower().encode() + b": ")
            for name, line in zip(*head.lines, strict=True)
        ],
        (message is None or keeps_alive(message), message is not None and message.upgrade),
        (framing, body.is_eof(), read_all(body)),
        [sent(head, route) for route in ROUTES],
    )


def sent(head: RequestHead, route: Route) -> bytes:
    """The field lines for the app; none where the resolver refuses Host."""
    is_host = head.headers.get("Host", "").isascii()
    return FIELDS.rewrite(head, route, PEER, "https", None) if is_host else b""


def read_all(body: StreamReader) -> object:
    """What of a body is there."""
    return None if body is NOTHING else (body.exception(), body.read_nowait())


def differences(
    random: Random, heads: int, loop: asyncio.AbstractEventLoop, table: LineTable
) -> Iterator[str]:
    """Compare both sides; tell the requests that they read in two ways, and how many are read."""
    accepted, refused = 0, 0
    ours, parsed = Side(table, loop), Side(None, loop)
    for number in range(heads):
        data = random_request(random)
        left, right = ours.receive(data), parsed.receive(data)
        if left != right:
            yield f"{data!r}\n{left}\n{right}"
        accepted += ours.was_tabular
        refused += parsed.reader.state is ReadState.STOPPED
        if number % 1000 == 0:
            table.check_deadline(number)
        if not (ours.is_between and parsed.is_between):
            ours, parsed = Side(table, loop), Side(None, loop)
    if not (heads / 4 < accepted < heads and heads / 10 < refused):
        yield f"too few of a kind: {accepted} in the table, {refused} refused"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("make", [LineTable, pytest.param(kernel_table, marks=NEEDS_KERNEL)])
def test_the_table_reads_as_the_parser(
    monkeypatch: pytest.MonkeyPatch,
    bare_loop: asyncio.AbstractEventLoop,
    make: Callable[[Iterable[istr]], LineTable],
) -> None:
    """Same verdict, same head, same body, same bytes for the app, whatever is sent."""
    monkeypatch.setattr(assembler, "_SKIPPED", 0)
    monkeypatch.setattr(line_table, "_GENERATION_BYTES", 200_000)
    found = differences(Random(HEADS), HEADS, bare_loop, make(KNOWN_NAMES))
    assert [] == list(itertools.islice(found, 5))


@pytest.fixture
def table() -> LineTable:
    """A table that has seen no line."""
    return LineTable(KNOWN_NAMES)


def block(*lines: bytes) -> bytes:
    """The lines of a head up to its end, after Host."""
    return b"\r\n".join([b"Host: a", *lines, b"", b""])


async def test_names_are_spelled_as_the_parser_spells_them(table: LineTable) -> None:
    """However they were sent."""
    for name in sorted({str(known) for known in KNOWN_NAMES}):
        for sent_name in (name, name.lower(), name.upper(), name.swapcase()):
            line = sent_name.encode() + b": 1"
            fields = table.read(block(line), 100)
            if fields is not None and name not in {"Host", "Content-Length"}:
                head = b"GET / HTTP/1.1\r\n" + block(line)
                message, _ = parsed_request(head)
                assert list(message.headers.items()) == list(fields[0].items())


@pytest.mark.parametrize("number", [10, 100_000])
def test_lines_that_come_once_push_out_none_in_use(table: LineTable, number: int) -> None:
    """And the table does not grow with them."""
    table.read(block(b"Accept: */*"), 100)
    in_use = table._lines[b"Accept: */*"]
    for i in range(number):
        assert table.read(block(b"Accept: */*", b"X-Id: %d" % i), 100) is not None
    assert table._lines[b"Accept: */*"] is in_use
    assert len(table) < 20_000


def test_a_table_is_bounded_in_bytes(table: LineTable) -> None:
    """Both generations together, with the objects that hold the lines."""
    tracemalloc.start()
    try:
        for i in range(20_000):
            table.read(block(b"X-Id: %0480d" % i), 100)
        size_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 1 << 20 < size_bytes < 4 << 20


def test_memos_are_part_of_what_is_bounded(table: LineTable) -> None:
    """With the credentials that were found in each line, and what of it the app gets."""
    reader, sizes_bytes = CredentialReader("session"), []
    tracemalloc.start()
    try:
        for i in range(8000):
            head = parsed_by_table(table, b"Cookie: session=%043d; a=%0200d" % (i, i))
            reader.read_cached(head)
            FIELDS.rewrite(head, ROUTES[0], PEER, "https", None)
            sizes_bytes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert 3 << 20 < max(sizes_bytes) < 4 << 20


@pytest.mark.parametrize("name", [b"Cookie", b"cookie"])
def test_a_memo_is_of_one_cookie_line_and_forgotten_with_it(table: LineTable, name: bytes) -> None:
    """Lines of other fields have none."""
    line = name + b": a=1"
    first, again, other = (
        parsed_by_table(table, sent).headers for sent in (line, line, name + b": a=2")
    )
    value = first["Cookie"]
    assert isinstance(value, ValueWithMemo)
    assert value is again["Cookie"]
    assert value is not other["Cookie"]
    assert (None, None) == (value.session, value.left)
    assert type(first["Host"]) is str
    table.check_deadline(0.0)
    table.check_deadline(30.0)
    assert value is not parsed_by_table(table, line).headers["Cookie"]


def parsed_by_table(table: LineTable, *lines: bytes) -> RequestHead:
    """A head whose lines, after Host, the table has read."""
    fields = table.read(block(*lines), 100)
    assert fields is not None
    return request_head()._replace(headers=fields[0], lines=fields[1])


def test_long_lines_are_judged_and_not_kept(table: LineTable) -> None:
    """They would take the room of many."""
    for i in range(10):
        fields = table.read(block(b"X-Id: %0600d" % i), 100)
        assert fields is not None
        assert f"{i:0600}" == fields[0]["X-Id"]
    assert len(table) == 1


def test_heads_of_new_lines_are_left_to_the_parser(table: LineTable) -> None:
    """It is the cheaper one there. What was judged is known when it comes again."""
    lines = [b"X-%d: v" % i for i in range(30)]
    assert table.read(block(*lines), 100) is None
    assert table.read(block(*lines), 100) is not None


def test_lines_are_forgotten_when_they_are_not_used(table: LineTable) -> None:
    """Some hold credentials: they stay for a minute at the most."""
    table.check_deadline(100.0)
    table.read(block(b"Cookie: a=secret"), 100)
    table.read(block(b"Accept: */*"), 100)
    table.check_deadline(129.9)
    assert len(table) == 3
    table.check_deadline(130.0)
    table.read(block(b"Accept: */*"), 100)
    table.check_deadline(160.0)
    assert b"Cookie: a=secret" not in {*table._lines, *table._lines.older}
    assert b"Accept: */*" in table._lines.older


@pytest.mark.parametrize(
    "line", [b"Cookie:a=secret", b"X-API-Key:secret", b"X-API-Key:secret: x", b"Cookie : a=secret"]
)
def test_a_line_in_another_form_is_no_name(table: LineTable, line: bytes) -> None:
    """It may hold a credential, and names are kept for as long as the worker runs."""
    assert table.read(block(line), 100) is None
    assert table.read(block(b"X-Name: v"), 100) is not None
    learnt = table._lines._names.keys() | table._lines._usual_names.keys()
    assert {b"Host", b"X-Name"} == learnt


def test_what_is_kept_of_the_names_of_heads_is_bounded(table: LineTable) -> None:
    """Clients may send ever new ones, and long heads; all are read."""
    for i in range(1000):
        assert table.read(block(b"X-%d: v" % i), 100) is not None
    assert 0 < len(table._has_length) <= 128
    known = len(table._has_length)
    lines = [b"X-Long-%d: v" % i for i in range(40)]
    assert table.read(block(*lines), 100) is None
    assert table.read(block(*lines), 100) is not None
    assert known == len(table._has_length)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"X-A: 1", b"X-A: 2"], id="alike"),
        pytest.param([b"X-A: 1", b"x-a: 1"], id="in-another-case"),
        pytest.param([b"Accept: 1", b"ACCEPT: 1"], id="known-in-another-case"),
        pytest.param([b"Host: b"], id="host"),
    ],
)
def test_repeated_names_are_for_the_parser(table: LineTable, lines: list[bytes]) -> None:
    """Also where the head without the repetition is known."""
    assert table.read(block(*lines[:-1]), 100) is not None
    assert [None, None] == [table.read(block(*lines), 100) for _ in range(2)]


def test_a_head_without_host_is_for_the_parser(table: LineTable) -> None:
    """It refuses it."""
    assert [None, None] == [table.read(b"Accept: */*\r\n\r\n", 100) for _ in range(2)]


def test_a_length_is_that_of_the_body(table: LineTable) -> None:
    """Zero, leading zeros and signs are for the parser."""
    lengths = (b"1", b"10240", b"0", b"01", b"+1", b"1,1", b"1" * 19)
    read = [table.read(block(b"Content-Length: " + length), 100) for length in lengths]
    assert [1, 10240, *[None] * 5] == [fields and fields[2] for fields in read]
