"""
Subscriber to one channel over the REST API of Upstash: server-sent events of ``/subscribe``.

While nothing is published, nothing is documented to come: a connection that is broken looks like
one that is idle. After some silence the subscriber publishes an empty message and expects to hear
it; those of other gateways, which it hears too, spare it that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar
from redis.exceptions import ConnectionError as RedisConnectionError
from yarl import URL

from gateway.store.listening import listen_for_ever

SILENCE_S = 60.0
"""Silence after which a message is published: a command that is billed."""
_ANSWER_S = 10.0
"""Time-out for subscribing, and for hearing one's own message: another continent is near enough."""
_MAX_LINE_BYTES = 64 * 1024
_OK = 200
_DATA = "data: "

NextLine = Callable[[], Coroutine[Any, Any, bytes]]
"""Reads a line with its end; empty at the end of the stream."""


class RestSubscriber:
    """Reads messages until it is cancelled, and subscribes again when the connection breaks."""

    def __init__(
        self,
        url: str,
        token: str,
        channel: str,
        on_message: Callable[[bytes], object],
        on_subscribed: Callable[[], object],
        publish_nothing: Callable[[], Awaitable[None]],
        silence_s: float = SILENCE_S,
    ) -> None:
        """``publish_nothing`` publishes an empty message to ``channel``, its full name."""
        path = f"/subscribe/{quote(channel, safe='')}"
        self._url = URL(url.rstrip("/") + path, encoded=True)
        self._fields = {
            "Authorization": f"Bearer {token}",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # an event is not held back to be compressed
        }
        self._subscribed = f"subscribe,{channel},"
        self._message = f"message,{channel},"
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._publish_nothing = publish_nothing
        self._silence_s = silence_s

    async def run(self) -> None:
        """Read until cancelled; raises nothing else."""
        await listen_for_ever(self._listen)

    async def _listen(self) -> None:
        async with ClientSession(
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            timeout=ClientTimeout(total=None, sock_connect=_ANSWER_S),
            read_bufsize=_MAX_LINE_BYTES,
        ) as session:
            async with asyncio.timeout(_ANSWER_S):
                response = await session.post(
                    self._url, headers=self._fields, allow_redirects=False
                )
            async with response:
                if response.status != _OK:
                    raise RedisConnectionError(f"status {response.status}")
                await self._hear(response.content.readline)

    async def _hear(self, next_line: NextLine) -> None:
        """Hand on what comes; raises where nothing comes that must."""
        while True:
            reading = asyncio.ensure_future(next_line())
            reading.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            try:
                line = await self._line(reading)
            finally:
                reading.cancel()
            if not line:
                raise RedisConnectionError("the stream has ended")
            self._take(line.decode(errors="replace").rstrip("\r\n"))

    async def _line(self, reading: asyncio.Future[bytes]) -> bytes:
        """
        Wait for a line; a message is published where it takes long.

        It is one and the same reading that is waited for: what has come of the line would be lost
        with it.
        """
        come, _ = await asyncio.wait([reading], timeout=self._silence_s)
        if not come:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await self._publish_nothing()
                    await asyncio.wait([reading])
            except TimeoutError:
                raise RedisConnectionError("silent") from None
        return reading.result()

    def _take(self, line: str) -> None:
        """Hand on the event of ``line``; others are comments, or of no concern."""
        if not line.startswith(_DATA):
            return
        event = line.removeprefix(_DATA)
        if event.startswith(self._message):
            if message := event.removeprefix(self._message):
                self._on_message(message.encode())
        elif event.startswith(self._subscribed):
            self._on_subscribed()
