"""Hears what is published on one channel of the store, on a connection of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.util.backoff import Backoff

_ANSWER_S = 2.0
"""For the connection, and for the server's word that it is subscribed; also where redis-py makes it
anew by itself, which it would wait for without end."""
_SILENCE_S = 5.0
"""After which the server is asked whether it is there: a broken connection may look like this."""
_FIRST_S, _LONGEST_S, _SETTLED_S = 0.05, 2.0, 10.0
_AT_ONCE = 64
"""Messages after which others have a turn, however many more are there."""

_log = logging.getLogger(__name__)


class Subscriber:
    """
    Reads without end, and comes back when the connection breaks.

    redis-py reads a connection only while it is asked for a message, so one task is always asking.
    It may reconnect by itself: what counts is the server's word that it is subscribed, which comes
    each time and is told to ``subscribed``.
    """

    def __init__(
        self,
        client: Redis,
        channel: str,
        heard: Callable[[bytes], object],
        subscribed: Callable[[], object],
        silence_s: float = _SILENCE_S,
    ) -> None:
        """``client`` is not closed here; ``channel`` is its whole name, with the prefix."""
        self._client = client
        self._channel = channel
        self._heard = heard
        self._subscribed = subscribed
        self._silence_s = silence_s

    async def run(self) -> None:
        """Until it is cancelled; raises nothing else."""
        loop, backoff = asyncio.get_running_loop(), Backoff(_FIRST_S, _LONGEST_S, _SETTLED_S)
        is_told = False
        while True:
            began_s = loop.time()
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 (redis-py raises many kinds; all mean the same)
                if not is_told or loop.time() - began_s >= _SETTLED_S:
                    _log.warning("the store's messages are not heard: %s", type(error).__name__)
                is_told = True
            await asyncio.sleep(backoff.after(loop.time() - began_s))

    async def _listen(self) -> None:
        async with self._connected() as pubsub:
            count, is_asked = 0, False
            while True:
                async with asyncio.timeout(self._silence_s + _ANSWER_S):
                    message = await pubsub.get_message(timeout=self._silence_s)
                if message is None:
                    if is_asked:
                        raise RedisConnectionError("silent")
                    async with asyncio.timeout(_ANSWER_S):
                        await pubsub.ping()
                    is_asked = True
                    continue
                is_asked = False
                match message["type"]:
                    case "message":
                        self._heard(message["data"])
                    case "subscribe":
                        self._subscribed()
                count += 1
                if count % _AT_ONCE == 0:
                    await asyncio.sleep(0)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[PubSub]:
        pubsub = self._client.pubsub()
        try:
            async with asyncio.timeout(_ANSWER_S):
                await pubsub.subscribe(self._channel)
            yield pubsub
        finally:
            # Raised in place of a cancellation, whatever it was would keep `run` running.
            with suppress(Exception):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
