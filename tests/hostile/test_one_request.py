"""
No input makes the app see another request than the one that was decided on.

Whole connections of mutated requests go over real sockets to a real gateway. What it emits is read
by a second parser (h11), and held against what that parser makes of the input, and against the
gateway's own access log. HOSTILE_EXAMPLES says how many are tried.
"""

import asyncio
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.headers.request import DEFAULT_IDENTITY_NAMES
from tests.fakes.servers import eventually
from tests.fakes.upstream import Seen
from tests.fakes.world import World, world
from tests.hostile.requests import CASES, GET, LAST, SECOND

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "0"))
USUAL_EXAMPLES = 150
"""The same in each run; when more are asked for, they are new ones."""
WITHIN_S = 20

POST = b"POST /public/p HTTP/1.1\r\nHost: x\r\nX-T: v\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKS = (
    b"PUT /public/c?a=b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;a=b\r\n world\r\n" + LAST
)
TRAILER = CHUNKS[:-2] + b"X-T: v\r\n\r\n"
HIDDEN = b"POST /public/h HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(GET), GET)
OLD = b"POST /public/o HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
PRIVATE = GET.replace(b"public", b"private")
OTHER = b"FOO /any/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(GET), GET)
TO_H2 = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
UPGRADING = GET.replace(b"\r\n\r\n", b"\r\n" + TO_H2 + b"\r\n")
POST_UPGRADING = HIDDEN.replace(b"\r\n", b"\r\n" + TO_H2, 1)

TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\x0b", b"\x7f", b"\xff", b":"),
    *(b";", b",", b'"', b"0", b"5", b"a", b"-", b"+", b"_", b"0x", b"G", b"/", b"#", b"?", b"%"),
    *(b"chunked", b"identity", b"HTTP/1.0", b"HTTP/1.1", b"Content-Length: 5\r\n", b"0\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding : chunked\r\n", b"\r\n ", LAST),
    *(b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"Host: y\r\n", SECOND),
    *(TO_H2, b"Upgrade: h2c\r\n", b"Upgrade: websocket\r\n", b"Connection: upgrade\r\n"),
    *(b"CONNECT", b"PRI", b"FOO", b"get", b"chunked\t", b"Transfer-Encoding: chunked \r\n"),
]  # fmt: skip

IDENTITY_NAMES = {name.lower() for name in DEFAULT_IDENTITY_NAMES}

WHITE_SPACE = re.compile(rb"(?<=[0-9A-Fa-f])[\t ]+(?=;)")
"""Before an extension of a chunk: RFC 9112 section 7.1.1 has it read, and h11 does not."""

LONG_BYTES = 1000
SHORT = [raw for case in CASES if len(raw := b"".join(case.parts)) < LONG_BYTES]
CHUNKED_HEAD = CHUNKS[: CHUNKS.index(b"\r\n\r\n") + 4]


def _chunked(chunks: list[tuple[bytes, bytes, bytes]], end: bytes) -> bytes:
    lines = (b"%x%b\r\n%b%b" % (len(data), extra, data, rest) for data, extra, rest in chunks)
    return CHUNKED_HEAD + b"".join(lines) + end


chunked = st.builds(
    _chunked,
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"hello", b"\r\n", b"0\r\n\r\n", LAST + GET, SECOND]),
            st.sampled_from([b"", b"", b"", b";a", b';a="b"', b";", b" ", b'";\n"', b"g", b"\r"]),
            st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\r", b"", b"XX", b"\r\n\r\n"]),
        ),
        max_size=4,
    ),
    st.sampled_from(
        [LAST] * 3 + [b"00\r\n\r\n", b"-0\r\n\r\n", b"0;a\r\nX: y\r\n\r\n", b"0\r\n\n", b""]
    ),
)
requests = (
    st.sampled_from([GET, SECOND, POST, CHUNKS, TRAILER, HIDDEN, OLD, PRIVATE])
    | st.sampled_from([OTHER, UPGRADING, POST_UPGRADING])
    | chunked
    | st.sampled_from(SHORT)
)


class Change(NamedTuple):
    """What is done to the bytes at a place: some go, some come."""

    place: float
    """From 0 to 1."""
    removed: int
    added: bytes

    def of(self, raw: bytes) -> bytes:
        """The bytes after it."""
        at = int(self.place * len(raw))
        return raw[:at] + self.added + raw[at + self.removed :]


changes = st.builds(
    Change,
    st.floats(0, 1),
    st.sampled_from([0, 0, 0, 1, 2, 5]),
    st.sampled_from(TOKENS) | st.just(b"") | st.binary(max_size=3),
)


cuts = st.lists(st.floats(0, 1), max_size=3)


class Running:
    """A world, and the loop that it lives in."""

    def __init__(self, around: World, runner: asyncio.Runner) -> None:
        self.world = around
        self.runner = runner


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A world that lives while an example is tried, and stands still between them."""
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        around = world(
            tmp_path_factory.mktemp("one"),
            timeouts="{head: 1s, body_idle: 1s}",
            max="{body: 1MiB}",
            more_routes=(
                '  - {name: any, match: {path: "/any/*", methods: any}, auth: none, upstream: app}'
            ),
        )
        entered = stack.enter_async_context(around)
        yield Running(runner.run(entered), runner)
        runner.run(stack.aclose())


@pytest.mark.timeout(0)
@settings(
    max_examples=EXAMPLES or USUAL_EXAMPLES,
    derandomize=not EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@given(st.lists(requests, min_size=1, max_size=3), st.lists(changes, max_size=4), cuts)
def test_one_request(
    running: Running, parts: list[bytes], mutations: list[Change], cut: list[float]
) -> None:
    """What the app sees is a part of what a second parser reads in the input, in order."""
    raw = b"".join(parts)
    for change in mutations:
        raw = change.of(raw)
    app = running.world.app
    before = len(app.seen)
    mark = running.runner.run(_exchange(running.world, raw, [int(at * len(raw)) for at in cut]))
    assert [] == app.faults
    requests_seen = [one for one in app.seen[before:] if _id(one) > mark]
    for seen in requests_seen:
        _hold_invariants(seen)
    assert any(
        _are_in(requests_seen, _readings(text)) for text in (raw, WHITE_SPACE.sub(b"", raw))
    ), [(one.method, one.target, one.body) for one in app.seen[before:]]


def _are_in(requests_seen: list[Seen], found: list[Seen]) -> bool:
    """Whether what the app saw is a part of what was found, in order."""
    left = iter(found)
    return all(any(_is_same(seen, reading) for reading in left) for seen in requests_seen)


def _id(seen: Seen) -> str:
    return seen.values("X-Request-Id")[0]


async def _exchange(around: World, raw: bytes, cuts: list[int]) -> str:
    """
    Send all of it in parts, and wait until the gateway has had enough.

    Ids are given in order: those up to the one that comes back belong to earlier examples, whose
    clients may have left before the app saw all that they had asked for.
    """
    mark = (await around.get("/public/mark")).value("X-Request-Id")
    async with asyncio.timeout(WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", around.port)
        try:
            for start, end in itertools.pairwise([0, *sorted(cuts), len(raw)]):
                writer.write(raw[start:end])
                await asyncio.sleep(0)
            writer.write_eof()
            while await reader.read(65536):
                pass
        except OSError:  # it was refused before all of it was read
            pass
        finally:
            writer.transport.abort()
    return mark


def _readings(raw: bytes) -> list[Seen]:
    """The complete requests that h11 finds from the start on."""
    found: list[Seen] = []
    while raw := raw.lstrip(b"\r\n"):  # RFC 9112 section 2.2; h11 does not
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        try:
            parser.receive_data(raw)
            request = parser.next_event()
            if not isinstance(request, h11.Request):
                return found
            parts = []
            while isinstance(event := parser.next_event(), h11.Data):
                parts.append(bytes(event.data))
        except h11.RemoteProtocolError:
            return found
        if not isinstance(event, h11.EndOfMessage):
            return found
        found.append(Seen(request.method.decode(), request.target.decode(), [], b"".join(parts)))
        raw = parser.trailing_data[0]
    return found


def _is_same(seen: Seen, reading: Seen) -> bool:
    is_rewritten = "://" in reading.target or not set("%[]^|").isdisjoint(reading.target)
    return (seen.method, seen.body) == (reading.method, reading.body) and (
        is_rewritten or seen.target == reading.target
    )


def _hold_invariants(seen: Seen) -> None:
    names = [name.lower().replace("_", "-") for name, _ in seen.headers]
    assert 1 == names.count("host")
    assert len([n for n in names if n in {"content-length", "transfer-encoding"}]) <= 1
    assert IDENTITY_NAMES.isdisjoint(names)  # others, such as x-user-i, are no names of ours


def test_each_is_one_that_was_decided_on(running: Running) -> None:
    """By its id, each request that the app saw stands in the access log, once, as what it is."""
    ids = [_id(seen) for seen in running.world.app.seen]
    running.runner.run(eventually(lambda: _are_logged(running.world, set(ids)), within_s=20))
    lines = {str(line["id"]): line for line in running.world.gateway.log_lines()}
    assert [] == [name for name, times in Counter(ids).items() if times > 1]
    for seen, line in (
        (seen, lines[id_]) for seen, id_ in zip(running.world.app.seen, ids, strict=True)
    ):
        assert seen.method == line["method"]
        assert seen.target.partition("?")[0] == line["path"]
        assert (
            seen.values("Host")[0].lower().partition(":")[0].rstrip(".")
            == str(line["host"]).partition(":")[0]
        )
    answered = {id_ for id_, line in lines.items() if line["status"] == 200}
    assert answered <= set(ids)


async def _are_logged(around: World, ids: set[str]) -> bool:
    return ids <= {str(line["id"]) for line in around.gateway.log_lines()}
