"""A store that is reached over the REST API of Upstash."""

from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from gateway.core.errors import StoreUnavailable
from gateway.core.replies import is_texts
from gateway.store.batch import WrongReply
from gateway.store.connect import address_of
from gateway.store.redis import RedisStore
from gateway.store.rest import MAX_CONNECTIONS, RestLines
from gateway.store.rest_subscriber import RestSubscriber
from gateway.store.server import SCANNED_AT_ONCE, StoreOptions, StoreServer, keys_of, pattern_of
from gateway.util import stall
from gateway.util.call_watch import UNWATCHED, CallWatch


class RestStoreServer:
    """A `StoreServer` of the REST API."""

    def __init__(self, options: StoreOptions) -> None:
        """``options.url`` is an origin, after ``upstash+``."""
        self._options = options
        self._url = options.url.removeprefix("upstash+")

    def store(
        self, on_wrong_reply: Callable[[], object], watch: CallWatch = UNWATCHED
    ) -> RedisStore:
        options = self._options
        return RedisStore(
            # the store's own deadlines end the waits before
            self._lines(options.timeout_s * stall.LONGEST),
            options.prefix,
            options.timeout_s,
            on_wrong_reply=on_wrong_reply,
            address=address_of(options.url),
            watch=watch,
            locks_keys=True,
            in_flight=MAX_CONNECTIONS,
        )

    async def listen(
        self,
        channel: str,
        on_message: Callable[[bytes], object],
        on_subscribed: Callable[[], object],
    ) -> None:
        options, lines = self._options, self._lines(self._options.timeout_s)
        name = options.prefix + channel
        publish = partial(_publish_nothing, lines, name)
        subscriber = RestSubscriber(
            self._url, options.token, name, on_message, on_subscribed, publish
        )
        try:
            await subscriber.run()
        finally:
            await lines.aclose()

    def scan(self, start: str) -> AsyncGenerator[bytes, None]:
        return keys_of(self.slices(start))

    async def slices(self, start: str) -> AsyncGenerator[list[bytes], None]:
        options, lines = self._options, self._lines(self._options.timeout_s)
        pattern = pattern_of(options.prefix + start)
        cursor = b"0"
        try:
            while True:
                cursor, keys = await _scanned(lines, cursor, pattern)
                yield keys
                if cursor == b"0":
                    return
        finally:
            await lines.aclose()

    def _lines(self, timeout_s: float) -> RestLines:
        return RestLines(self._url, self._options.token, timeout_s)


async def _publish_nothing(lines: RestLines, channel: str) -> None:
    await lines.execute([("PUBLISH", channel, b"")], _check)


async def _scanned(lines: RestLines, cursor: bytes, pattern: str) -> tuple[bytes, list[bytes]]:
    """Return the next cursor, and keys. Raises `StoreUnavailable`."""
    command = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED_AT_ONCE)
    try:
        [reply] = await lines.execute([command], _check)
    except (RedisError, OSError, WrongReply) as error:
        raise StoreUnavailable(type(error).__name__) from error
    match reply:
        case [bytes(next_cursor), list(keys)] if is_texts(keys):
            return next_cursor, keys
    raise StoreUnavailable("wrong reply: SCAN")


def _check(replies: list[Any]) -> bool:
    """Raise an error that stands in place of the reply."""
    if isinstance(replies[0], Exception):
        raise replies[0]
    return False


_: type[StoreServer] = RestStoreServer
