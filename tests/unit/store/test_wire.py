"""Exchanges on a connection's transport, by the order of its events."""

import asyncio
import gc
import weakref

import hiredis
import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import BusyLoadingError, InvalidResponse, NoScriptError
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.store.wire import Outcome, Wire
from tests.fakes.transport import FakeTransport


class Before(asyncio.Protocol):
    """The protocol of redis-py, which waits for the end of its connection."""

    def __init__(self) -> None:
        self.lost: list[Exception | None] = []

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


class Adopted:
    """A wire, its transport, and what was heard on it."""

    def __init__(self) -> None:
        self.transport, self.before = FakeTransport(), Before()
        self.wire = Wire(self.transport, self.before, BaseParser.parse_error)
        self.heard: list[Outcome] = []

    def ask(self, expected: int) -> None:
        self.wire.exchange(b"asked", expected, self.heard.append)

    def failure(self) -> Exception:
        """The one outcome, which is an error."""
        [outcome] = self.heard
        assert isinstance(outcome, Exception)
        return outcome

    @property
    def is_usable(self) -> bool:
        return self.wire.is_open and not self.transport.is_closing()


@pytest.fixture
def line() -> Adopted:
    return Adopted()


REPLIES = b"*2\r\n$1\r\na\r\n$-1\r\n:7\r\n-NOSCRIPT no\r\n"


@pytest.mark.parametrize("size", [1, 2, 7, len(REPLIES)])
def test_replies_are_delivered_together_once_all_are_there(line: Adopted, size: int) -> None:
    """However they are cut; an error reply is one of them, of redis-py's class."""
    line.ask(3)
    for start in range(0, len(REPLIES), size):
        assert [] == line.heard
        line.wire.data_received(REPLIES[start : start + size])

    [outcome] = line.heard
    assert isinstance(outcome, list)
    assert [[b"a", None], 7] == outcome[:2]
    assert NoScriptError is type(outcome[2])
    assert b"asked" == line.transport.written
    assert line.is_usable


def test_one_exchange_follows_another(line: Adopted) -> None:
    """Each has its own replies, also where the next begins while one is delivered."""

    def heard(outcome: Outcome) -> None:
        line.heard.append(outcome)
        line.ask(1)

    line.wire.exchange(b"first", 1, heard)
    line.wire.data_received(b"+1\r\n")
    line.wire.data_received(b"+2\r\n")

    assert [[b"1"], [b"2"]] == line.heard


def test_a_reply_that_was_not_asked_for_closes_the_connection(line: Adopted) -> None:
    """The next exchange must not see it."""
    line.wire.data_received(b"*")

    assert not line.is_usable
    line.ask(1)
    assert RedisConnectionError is type(line.failure())


def test_more_than_was_asked_for_closes_the_connection(line: Adopted) -> None:
    """What was asked for is delivered: the caller tells whether it is right."""
    line.ask(1)
    line.wire.data_received(b"+1\r\n+2\r\n")

    assert [[b"1"]] == line.heard
    assert not line.is_usable


def test_bytes_that_are_none_of_the_protocol_end_the_exchange(line: Adopted) -> None:
    """As with redis-py."""
    line.ask(2)
    line.wire.data_received(b"+1\r\nHTTP/1.1 400\r\n")

    assert InvalidResponse is type(line.failure())
    assert not line.is_usable


@pytest.mark.parametrize("reply", [b"-LOADING wait\r\n", b"*1\r\n-LOADING wait\r\n"])
def test_a_server_that_is_not_there_yet_is_no_reply(line: Adopted, reply: bytes) -> None:
    """As with redis-py, which takes it for a connection that failed."""
    line.ask(2)
    line.wire.data_received(b"+1\r\n" + reply)

    assert BusyLoadingError is type(line.failure())
    assert not line.is_usable


def test_a_push_is_no_reply(line: Adopted) -> None:
    """RESP3 may have one between two replies."""
    line.ask(2)
    line.wire.data_received(b"+1\r\n>2\r\n+news\r\n+x\r\n+2\r\n")

    assert [[b"1", b"2"]] == line.heard
    assert issubclass(hiredis.PushNotification, list)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        pytest.param(lambda wire: wire.eof_received(), RedisConnectionError, id="eof"),
        pytest.param(lambda wire: wire.connection_lost(None), RedisConnectionError, id="closed"),
        pytest.param(lambda wire: wire.connection_lost(OSError(9)), RedisConnectionError, id="os"),
        pytest.param(lambda wire: wire.cancel(), TimeoutError, id="cancelled"),
    ],
)
def test_an_end_reaches_the_exchange_under_way_once(
    line: Adopted, event: type, kind: type[Exception]
) -> None:
    """Replies that came before it are dropped."""
    line.ask(2)
    line.wire.data_received(b"+1\r\n")
    event(line.wire)
    line.wire.connection_lost(None)

    assert kind is type(line.failure())
    assert not line.wire.is_open


def test_the_end_is_told_to_redis_py(line: Adopted) -> None:
    """It waits for that when it closes the connection."""
    lost = OSError(9)
    line.wire.connection_lost(lost)
    line.wire.connection_lost(None)

    assert [lost] == line.before.lost


async def test_a_task_gets_replies_or_raises(line: Adopted) -> None:
    """An error is the outcome of the whole exchange."""
    first = asyncio.ensure_future(line.wire.replies(b"x", 1))
    await asyncio.sleep(0)
    line.wire.data_received(b"+1\r\n")
    assert [b"1"] == await first

    second = asyncio.ensure_future(line.wire.replies(b"x", 1))
    await asyncio.sleep(0)
    line.wire.connection_lost(None)
    with pytest.raises(RedisConnectionError):
        await second


async def test_a_task_that_is_cancelled_closes_the_connection(line: Adopted) -> None:
    """Its reply is left for no other."""
    asking = asyncio.ensure_future(line.wire.replies(b"x", 1))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])

    assert asking.cancelled()
    assert not line.is_usable


def test_a_lost_connection_leaves_no_garbage() -> None:
    """References alone free it: no collection has to find it."""
    gc.disable()
    try:
        line = Adopted()
        line.transport.set_protocol(line.wire)
        line.ask(1)
        line.wire.connection_lost(None)
        line.transport.protocol = None  # as a transport does after that
        wire, transport = map(weakref.ref, (line.wire, line.transport))
        del line
        assert (None, None) == (wire(), transport())
    finally:
        gc.enable()
