"""A channel over server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.store import rest_subscriber
from gateway.store.rest_subscriber import RestSubscriber
from gateway.util.background import background
from tests.fakes.timing import until


class Channel:
    """A server with one channel, and a subscriber to it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.status = 200
        self.messages: list[bytes] = []
        self.subscribed = 0
        self.published = 0
        self.echoes = True

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.raw_path, dict(request.headers)))
        response = web.StreamResponse(status=self.status)
        response.content_type = "text/event-stream"
        await response.prepare(request)
        await response.write(b"data: subscribe,gw:a b,1\n\n")
        while (line := await self.lines.get()) is not None:
            await response.write(line)
        return response

    def count_subscription(self) -> None:
        self.subscribed += 1

    async def publish_nothing(self) -> None:
        self.published += 1
        if self.echoes:
            self.lines.put_nowait(b"data: message,gw:a b,\n\n")


@asynccontextmanager
async def listening(channel: Channel, silence_s: float = 60.0) -> AsyncIterator[None]:
    """A subscriber that listens while the context lasts."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", channel.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    subscriber = RestSubscriber(
        f"http://127.0.0.1:{runner.addresses[0][1]}",
        "secret",
        "gw:a b",
        channel.messages.append,
        channel.count_subscription,
        channel.publish_nothing,
        silence_s,
    )
    try:
        async with background(subscriber.run()):
            yield
    finally:
        for _ in channel.requests:
            channel.lines.put_nowait(None)
        await runner.cleanup()


async def test_messages_come_whole_and_in_order() -> None:
    """With the commas and colons that they hold; events of others, and comments, are skipped."""
    channel = Channel()
    async with listening(channel):
        for line in (
            b": comment\n\n",
            b"data: message,gw:a b,revoked did:ethr:0x1,2\n\n",
            b"data: message,gw:other,x\n\n",
            b"event: message\n\n",
            "data: message,gw:a b,user Zoë\n\n".encode(),
        ):
            channel.lines.put_nowait(line)
        await until(lambda: len(channel.messages) == 2)

    assert [b"revoked did:ethr:0x1,2", "user Zoë".encode()] == channel.messages
    assert 1 == channel.subscribed
    [(method, path, fields)] = channel.requests
    assert ("POST", "/subscribe/gw%3Aa%20b") == (method, path)
    assert "Bearer secret" == fields["Authorization"]


async def test_a_stream_that_ends_is_asked_for_again() -> None:
    """And what was missed is told by the new subscription."""
    channel = Channel()
    async with listening(channel):
        await until(lambda: channel.subscribed == 1)
        channel.lines.put_nowait(None)
        await until(lambda: channel.subscribed == 2)


async def test_silence_is_broken_by_a_message_of_its_own() -> None:
    """It is heard, and handed to no cache."""
    channel = Channel()
    async with listening(channel, silence_s=0.01):
        await until(lambda: channel.published >= 3)

    assert (1, []) == (channel.subscribed, channel.messages)


async def test_a_silence_within_a_message_loses_nothing_of_it() -> None:
    """Its other half comes with what breaks the silence."""
    channel = Channel()
    async with listening(channel, silence_s=0.05):
        await until(lambda: channel.subscribed == 1)
        channel.echoes = False
        channel.lines.put_nowait(b"data: message,gw:a b,revoked ")
        await until(lambda: channel.published >= 1)
        channel.lines.put_nowait(b"did:ethr:0x1\n\n")
        await until(lambda: channel.messages != [])

    assert [b"revoked did:ethr:0x1"] == channel.messages


async def test_a_stream_that_stays_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is broken, though it looks idle."""
    monkeypatch.setattr(rest_subscriber, "_ANSWER_S", 0.5)
    channel = Channel()
    channel.echoes = False
    async with listening(channel, silence_s=0.01):
        await until(lambda: channel.subscribed >= 2)


async def test_a_refusal_is_no_subscription() -> None:
    """Though its body looks like one."""
    channel = Channel()
    channel.status = 401
    async with listening(channel):
        await until(lambda: len(channel.requests) >= 2)

    assert 0 == channel.subscribed
