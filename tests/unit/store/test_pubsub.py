"""The subscriber to a channel of the store, over scripted connections of redis-py."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.store.pubsub import Subscriber

Reply = dict[str, object] | Exception | None

SUBSCRIBED: Reply = {"type": "subscribe", "data": 1}


def message(data: bytes) -> Reply:
    return {"type": "message", "data": data}


class ScriptedClient:
    """A client of redis-py with one pub/sub connection after the other, each a list of replies."""

    def __init__(self, *connections: list[Reply]) -> None:
        self.connections = [list(replies) for replies in connections]
        self.channels: list[str] = []
        self.pings = 0
        self.closed = 0
        self._replies: list[Reply] = []

    def pubsub(self) -> "ScriptedClient":
        return self

    async def subscribe(self, channel: str) -> None:
        self.channels.append(channel)
        if not self.connections:
            await asyncio.Event().wait()
        self._replies = self.connections.pop(0)

    async def get_message(self, timeout: float) -> Reply:  # noqa: ARG002, ASYNC109 - as redis-py
        if not self._replies:
            raise RedisConnectionError("closed")
        await asyncio.sleep(0)
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def ping(self) -> None:
        self.pings += 1

    async def aclose(self) -> None:
        self.closed += 1


class Received:
    """What a subscriber reports."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.subscriptions = 0

    def on_subscribed(self) -> None:
        self.subscriptions += 1


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.listening._FIRST_S", 0.0)
    monkeypatch.setattr("gateway.store.listening._LONGEST_S", 0.0)


@asynccontextmanager
async def running(client: ScriptedClient) -> AsyncIterator[Received]:
    """Run a subscriber until all connections of ``client`` are used up."""
    received = Received()
    redis: Any = client
    subscriber = Subscriber(redis, "gw:x", received.messages.append, received.on_subscribed)
    task = asyncio.create_task(subscriber.run())
    async with asyncio.timeout(20):
        while client.connections or client.closed < len(client.channels) - 1:
            await asyncio.sleep(0)
        while client._replies:
            await asyncio.sleep(0)
    yield received
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_messages_are_handed_on_in_order() -> None:
    """Each once, and only those of the channel that was asked for."""
    client = ScriptedClient([SUBSCRIBED, message(b"1"), message(b"2")])
    async with running(client) as received:
        assert ([b"1", b"2"], 1) == (received.messages, received.subscriptions)
    assert {"gw:x"} == set(client.channels)


async def test_a_broken_connection_is_replaced() -> None:
    """Each new subscription is reported, as messages may have been missed before it."""
    client = ScriptedClient(
        [SUBSCRIBED, message(b"1"), RedisConnectionError("reset")],
        [SUBSCRIBED, message(b"2")],
    )
    async with running(client) as received:
        assert ([b"1", b"2"], 2) == (received.messages, received.subscriptions)
    assert client.closed == len(client.channels)


async def test_a_silent_connection_is_pinged_once_and_then_replaced() -> None:
    """A reply to the ping counts as a sign of life."""
    pong: Reply = {"type": "pong", "data": b""}
    client = ScriptedClient([SUBSCRIBED, None, pong, None, None], [SUBSCRIBED])
    async with running(client) as received:
        assert (2, 2) == (client.pings, received.subscriptions)


async def test_a_lost_connection_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A store that stays down does not fill the log."""
    failures: list[list[Reply]] = [[RedisConnectionError("down")] for _ in range(5)]
    client = ScriptedClient(*failures, [SUBSCRIBED])
    async with running(client):
        [record] = caplog.records
    assert "not subscribed to the store's channel: ConnectionError: down" == record.getMessage()
