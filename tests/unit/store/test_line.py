"""One exchange on a connection: opened and checked where that is due, closed where it fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import cast

import fakeredis
import pytest
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.store.batch import WrongReply
from gateway.store.connect import HEALTH_CHECK_S, NotConnected
from gateway.store.connect import redis_client as connect
from gateway.store.line import DEFAULTS, LineOptions, Lines, ServerBusy, check_replies
from gateway.store.wire import Wire
from tests.fakes.servers import valkey


@pytest.fixture
async def lines() -> AsyncIterator[Lines]:
    """Lines to a server of its own."""
    with valkey() as server:
        client = connect(server.url, 2)
        yield Lines(client.connection_pool)
        await client.aclose()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The first command of each exchange."""
    seen: list[bytes] = []
    exchange = Wire.exchange

    def heard(
        wire: Wire, packed: bytes, expected: int, receive: Callable[[object], object]
    ) -> None:
        seen.append(packed.split(b"\r\n")[2])
        exchange(wire, packed, expected, receive)

    monkeypatch.setattr(Wire, "exchange", heard)
    return seen


def fakeredis_pool() -> ConnectionPool:
    """The connections of a client of fakeredis."""
    return fakeredis.FakeAsyncRedis().connection_pool


def _any(_: list[object]) -> bool:
    return False


async def _ping(lines: Lines) -> list[object]:
    return await lines.execute([("PING",)], _any)


def _wire(lines: Lines) -> Wire:
    [line] = lines.idle
    assert line.wire is not None
    return line.wire


def test_what_was_echoed_comes_last() -> None:
    """It is taken away; the others are checked."""
    replies = [b"1", b"x"]

    assert check_replies(replies, b"x", lambda _: True)
    assert [b"1"] == replies


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (b"y", WrongReply),
        (None, WrongReply),
        (NoPermissionError("no ECHO"), NoPermissionError),
        (ResponseError("BUSY Redis is busy"), ServerBusy),
    ],
)
def test_anything_else_in_its_place_is_wrong(last: object, error: type[Exception]) -> None:
    """Nothing is checked, or handed on."""
    with pytest.raises(error):
        check_replies([b"1", last], b"x", lambda _: False)


async def test_each_exchange_echoes_another_number(lines: Lines) -> None:
    """And other lines others."""
    echoed = [which.packed([])[1] for which in (lines, lines, Lines(fakeredis_pool()))]

    assert 3 == len(set(echoed))
    assert [28] * 3 == list(map(len, echoed))


async def test_a_line_that_worked_a_moment_ago_is_ready(lines: Lines) -> None:
    """Until a second after that, and only while it is open."""
    now_s = time.monotonic()
    assert lines.take_ready(now_s) is None
    await _ping(lines)
    [line] = lines.idle

    assert not line.is_ready(line.used_at_s + 1.1)
    assert lines.take_ready(line.used_at_s + 0.9) is line
    assert [] == lines.idle
    assert line.wire is not None
    line.wire.cancel()
    assert not line.is_ready(line.used_at_s)


@pytest.mark.parametrize(
    ("idle_s", "commands"),
    [(0.0, [b"PING"]), (2.0, [b"PING"]), (HEALTH_CHECK_S + 1.0, [b"PING", b"PING"])],
)
async def test_a_line_that_was_idle_for_long_is_pinged(
    lines: Lines, asked: list[bytes], idle_s: float, commands: list[bytes]
) -> None:
    """It serves on where that is answered."""
    await _ping(lines)
    wire = _wire(lines)
    lines.idle[0].used_at_s -= idle_s
    asked.clear()

    assert [b"PONG"] == await _ping(lines)
    assert commands == asked
    assert wire is _wire(lines)


async def test_a_line_that_does_not_answer_the_ping_is_replaced(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes next is sent on the new one."""
    await _ping(lines)
    wire = _wire(lines)
    lines.idle[0].used_at_s -= HEALTH_CHECK_S + 1
    exchange = Wire.exchange

    def lost(self: Wire, packed: bytes, expected: int, receive: Callable[[object], object]) -> None:
        exchange(self, packed, expected, receive)
        if self is wire:
            self.close(RedisConnectionError("lost"))

    monkeypatch.setattr(Wire, "exchange", lost)

    assert [b"PONG"] == await _ping(lines)
    assert _wire(lines) is not wire


async def test_what_the_server_closed_is_opened_again(lines: Lines) -> None:
    """Also where the loop has read nothing of it yet."""
    await _ping(lines)
    wire = _wire(lines)
    operator = Lines(lines._pool)
    await operator.execute([("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")], _any)
    lines.idle[0].used_at_s -= 2

    assert [b"PONG"] == await _ping(lines)
    assert _wire(lines) is not wire


async def test_an_exchange_that_is_cancelled_or_refused_closes_its_line(lines: Lines) -> None:
    """The next one opens it again."""
    await _ping(lines)

    def refuse(_: list[object]) -> bool:
        raise WrongReply("PING")

    with pytest.raises(WrongReply):
        await lines.execute([("PING",)], refuse)
    assert lines.idle[0].wire is None
    waiting = asyncio.ensure_future(lines.execute([("BLPOP", b"k", 0)], _any))
    for _ in range(20):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert lines.idle[0].wire is None

    assert [b"PONG"] == await _ping(lines)


async def test_a_server_that_is_read_only_is_left_once_a_second() -> None:
    """Errors of other kinds are no reason."""
    lines = Lines(fakeredis_pool())

    assert not lines.must_reconnect([b"1", ResponseError("no")])
    assert lines.must_reconnect([b"1", ReadOnlyError("no")])
    assert not lines.must_reconnect([ReadOnlyError("no")])


async def test_without_a_transport_redis_py_reads_the_replies() -> None:
    """An error reply is one of them."""
    lines = Lines(fakeredis_pool())

    replies = await lines.execute([("PING",), ("GET",), ("PING",)], _any)

    assert [b"PONG", b"PONG"] == replies[::2]
    assert isinstance(replies[1], ResponseError)
    assert lines.idle[0].wire is None


# --- opening --------------------------------------------------------------------------------------


class SlowPool:
    """The connections of a client of fakeredis; opening one waits for a gate, or fails."""

    def __init__(self) -> None:
        self._pool = fakeredis_pool()
        self.gate = asyncio.Event()
        self.failures = 0
        self.trials = 0

    def get_available_connection(self) -> object:
        return self._pool.get_available_connection()  # type: ignore[no-untyped-call]

    async def disconnect(self) -> None:
        await self._pool.disconnect()

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        self.trials += 1
        if self.failures:
            self.failures -= 1
            raise RedisConnectionError("refused")
        await self.gate.wait()
        await self._pool.ensure_connection(connection)


def _slow(pool: SlowPool, options: LineOptions = DEFAULTS) -> Lines:
    return Lines(cast("ConnectionPool", pool), options)


async def test_connecting_goes_on_when_the_batch_that_waited_is_over() -> None:
    """A distant server may need longer for it than a request waits; the next one has it."""
    pool = SlowPool()
    lines = _slow(pool)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_ping(lines), 0.01)
    pool.gate.set()

    assert [b"PONG"] == await _ping(lines)
    assert 1 == pool.trials
    await lines.aclose()


async def test_connecting_has_a_time_out_of_its_own() -> None:
    """Then the server is asked anew."""
    pool = SlowPool()
    lines = _slow(pool, LineOptions(connect_timeout_s=0.01))

    with pytest.raises(NotConnected, match="within 10 ms"):
        await _ping(lines)

    pool.gate.set()
    assert [b"PONG"] == await _ping(lines)


@pytest.mark.parametrize(("failures", "retries", "is_open"), [(2, 2, True), (2, 1, False)])
async def test_connecting_is_tried_again(failures: int, retries: int, *, is_open: bool) -> None:
    """As often as the options say: nothing was sent, so that repeats nothing."""
    pool = SlowPool()
    pool.gate.set()
    pool.failures = failures
    lines = _slow(pool, LineOptions(retries=retries))

    if is_open:
        assert [b"PONG"] == await _ping(lines)
    else:
        with pytest.raises(NotConnected, match="refused"):
            await lines.read([("PING",)], _any, 0)
    assert retries + 1 == pool.trials


async def test_reads_are_repeated_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as the options say."""
    lines = Lines(fakeredis_pool(), LineOptions(retries=2))
    asked = 0

    async def broken(*_: object) -> list[object]:
        nonlocal asked
        asked += 1
        raise RedisConnectionError("broken")

    monkeypatch.setattr(lines, "execute", broken)

    with pytest.raises(RedisConnectionError):
        await lines.read([("GET", b"k")], _any, 0)
    assert 3 == asked


async def test_a_close_ends_what_is_being_opened() -> None:
    """The exchange that waits for it ends, too."""
    pool = SlowPool()
    lines = _slow(pool)
    waiting = asyncio.ensure_future(_ping(lines))
    while not pool.trials:
        await asyncio.sleep(0)

    await lines.aclose()

    await asyncio.wait([waiting])
    assert set() == lines._tasks


async def test_a_server_that_is_read_only_is_left_by_all_lines(lines: Lines) -> None:
    """An idle connection may lead to the same server."""
    await _ping(lines)
    wire = _wire(lines)

    assert lines.must_reconnect([ReadOnlyError("no")])
    assert lines.take_ready(time.monotonic()) is None
    assert [b"PONG"] == await _ping(lines)
    assert wire is not _wire(lines)


# --- servers and credentials that change ----------------------------------------------------------


@pytest.mark.parametrize("is_under_way", [False, True])
async def test_lines_are_replaced_where_a_new_connection_would_lead_elsewhere(
    *, is_under_way: bool
) -> None:
    """An idle one at once, one that is under way when it is taken next; there are no more."""
    changes = 0
    with valkey() as server:
        client = connect(server.url, 2)
        lines = Lines(client.connection_pool, LineOptions(changes=lambda _: changes))
        await _ping(lines)
        before = _wire(lines)
        changes = 1
        line = lines.take_ready(time.monotonic())
        assert line is not None
        if not is_under_way:
            lines.idle.append(line)
        await asyncio.gather(*lines._tasks)
        if is_under_way:
            assert [] == lines.idle
            lines.idle.append(line)

        assert [b"PONG"] == await _ping(lines)
        assert before is not _wire(lines)
        assert not before.is_open
        await client.aclose()


async def test_lines_stay_where_they_cannot_be_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That is logged, and tried again after a while."""
    changes = 0
    with valkey() as server:
        client = connect(server.url, 2)
        lines = Lines(client.connection_pool, LineOptions(changes=lambda _: changes, retries=0))
        await _ping(lines)
        before, changes = _wire(lines), 1

        async def refused(_: object) -> None:
            raise AuthenticationError("invalid password")

        with monkeypatch.context() as failing:
            failing.setattr(lines._pool, "ensure_connection", refused)
            for _ in range(2):
                line = lines.take_ready(time.monotonic())
                assert line is not None
                lines.idle.append(line)
                await asyncio.gather(*lines._tasks)
        assert ["connections to the store not replaced: AuthenticationError: invalid password"] == (
            caplog.messages
        )
        assert before.is_open
        await client.aclose()
