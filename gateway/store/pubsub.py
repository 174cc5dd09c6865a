"""Subscriber to one pub/sub channel of the store, on a connection of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from math import inf

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gateway.store.listening import listen_for_ever

_REPLY_S = 2.0
"""Time-out for connecting, subscribing and pings; also bounds redis-py's own reconnecting."""
_SILENCE_S = 5.0
"""Silence after which the server is pinged: a broken connection may look like this."""
_YIELD_EVERY = 64
"""Messages after which other tasks of the loop run, however many more are waiting."""


class Subscriber:
    """
    Reads messages until it is cancelled, and reconnects when the connection breaks.

    redis-py reads a connection only while it is asked for a message, so one task is always asking.
    It may reconnect by itself. So ``on_subscribed`` is called for each confirmation of the server
    that it is subscribed.
    """

    def __init__(
        self,
        client: Redis,
        channel: str,
        on_message: Callable[[bytes], object],
        on_subscribed: Callable[[], object],
        silence_s: float = _SILENCE_S,
        changes: Callable[[float], int] | None = None,
    ) -> None:
        """
        Take a client, which is not closed here, and the channel's full name with its prefix.

        ``changes`` returns another number where a new connection would lead elsewhere, or have
        other credentials; see `gateway.store.line.LineOptions`.
        """
        self._client = client
        self._channel = channel
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._silence_s = silence_s
        self._changes = changes or (lambda _: 0)

    async def run(self) -> None:
        """Read until cancelled; raises nothing else."""
        await listen_for_ever(self.listen)

    async def listen(self) -> None:
        """Read until the connection breaks: raises what broke it."""
        before, tried_at_s = self._changes(time.monotonic()), -inf
        async with self._connected() as pubsub:
            count, is_pinged = 0, False
            while True:
                now_s = time.monotonic()
                if self._changes(now_s) != before and now_s - tried_at_s >= self._silence_s:
                    tried_at_s = now_s
                    if await self._is_let_in():
                        raise RedisConnectionError("server or credentials have changed")
                async with asyncio.timeout(self._silence_s + _REPLY_S):
                    message = await pubsub.get_message(timeout=self._silence_s)
                if message is None:
                    if is_pinged:
                        raise RedisConnectionError("silent")
                    async with asyncio.timeout(_REPLY_S):
                        await pubsub.ping()
                    is_pinged = True
                    continue
                is_pinged = False
                match message["type"]:
                    case "message":
                        self._on_message(message["data"])
                    case "subscribe":
                        self._on_subscribed()
                count += 1
                if count % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)

    async def _is_let_in(self) -> bool:
        """Whether a new connection serves, which has the server and the credentials of now."""
        with suppress(RedisError, OSError):
            async with asyncio.timeout(_REPLY_S):
                # one that is idle was let in before: by what was so then
                await self._client.connection_pool.disconnect(inuse_connections=False)
                await self._client.ping()
            return True
        return False

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[PubSub]:
        pubsub = self._client.pubsub()
        try:
            async with asyncio.timeout(_REPLY_S):
                await pubsub.subscribe(self._channel)
            yield pubsub
        finally:
            # An error here would replace a cancellation, and keep `run` running.
            with suppress(Exception):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
