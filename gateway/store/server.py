"""
What the gateway needs of a store server, whichever its kind, and that of the Redis protocol.

`gateway.store.kinds` makes one from the options of the config.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import NamedTuple, Protocol, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.core.errors import StartError, StoreUnavailable
from gateway.core.ports import Store
from gateway.store.asking import Ask, asking
from gateway.store.batch import Batch
from gateway.store.confirm import Confirmation, ConfirmedBatch
from gateway.store.connect import Access, address_of, is_upstash
from gateway.store.line import LineOptions
from gateway.store.login import LoginOptions, login_of
from gateway.store.pubsub import Subscriber
from gateway.store.redis import IN_FLIGHT, RedisStore
from gateway.util.call_watch import UNWATCHED, CallWatch
from gateway.util.client_tls import ClientTls, ClientTlsFiles, UnusableTlsFiles

Changes = Callable[[float], int]
"""See `LineOptions.changes`."""

SCANNED_AT_ONCE = 1000
"""Keys that one command of a scan looks at."""


class StoreOptions(NamedTuple):
    """How the store is reached: the section ``redis`` of the config."""

    url: str
    prefix: str = ""
    """Before every key and channel."""
    timeout_s: float = 0.25
    """For one reply."""
    token: str = ""
    """Of a REST API."""
    login: LoginOptions = LoginOptions()
    tls: ClientTlsFiles | None = None
    """Files for TLS, instead of those in the URL."""
    server_name: str = ""
    """Name that certificates of servers must contain; the host when empty."""
    sentinel_login: LoginOptions = LoginOptions()
    """For the sentinels themselves."""
    connect_timeout_s: float = 1.0
    connections: int = IN_FLIGHT
    """Most connections of the store, and so batches under way, at a time."""
    retries: int = 2
    """Further trials of reads, and of connecting."""
    confirm: Confirmation | None = None
    """By replicas, of what scripts write; None for none."""

    @property
    def patience_s(self) -> float:
        """Time-out of a reply where no request waits: for connecting, too."""
        return self.timeout_s + self.connect_timeout_s


def access_of(options: StoreOptions) -> Access:
    """Read the files of credentials and of TLS. Raises `StartError`, which names no secret."""
    tls = None
    if options.tls is not None:
        try:
            tls = ClientTls(options.tls)
        except UnusableTlsFiles as error:
            raise StartError(f"redis.tls: {error}") from error
    return Access(login_of(options.login), tls, options.server_name)


class StoreServer(Protocol):
    """Opens what the gateway uses of one store. Nothing is sent before it is used."""

    def store(self, on_wrong_reply: Callable[[], object], watch: CallWatch = UNWATCHED) -> Store:
        """Open the store; its ``aclose`` closes what it has opened."""

    async def listen(
        self,
        channel: str,
        on_message: Callable[[bytes], object],
        on_subscribed: Callable[[], object],
    ) -> None:
        """Subscribe to ``channel``, without prefix, until cancelled; raises nothing else."""

    def scan(self, start: str) -> AsyncGenerator[bytes, None]:
        """
        Yield all keys that begin with ``start``, with the prefix. Some may come twice.

        Raises `StoreUnavailable`.
        """

    def slices(self, start: str) -> AsyncGenerator[list[bytes], None]:
        """
        Yield the same keys, those of one command at a time.

        Many lists are empty where most keys of the store begin otherwise: each of them is a place
        to stop at.
        """


class RedisServer:
    """A `StoreServer` of the Redis protocol, by clients of redis-py."""

    def __init__(
        self,
        options: StoreOptions,
        client: Callable[[StoreOptions, float], Redis],
        changes: Callable[[Redis], Changes | None] = lambda _: None,
    ) -> None:
        """
        ``client`` makes a client with a time-out in seconds for connecting.

        ``changes`` says of one where it is to be watched; see `LineOptions`.
        """
        self._options = options
        self._client = client
        self._changes = changes

    def store(self, on_wrong_reply: Callable[[], object], watch: CallWatch = UNWATCHED) -> Store:
        options = self._options
        client = self._client(options, options.connect_timeout_s)
        return RedisStore(
            client,
            options.prefix,
            options.timeout_s,
            on_wrong_reply=on_wrong_reply,
            address=address_of(options.url),
            watch=watch,
            lines=LineOptions(options.connect_timeout_s, options.retries, self._changes(client)),
            locks_keys=is_upstash(options.url),
            in_flight=options.connections,
            batch=partial(ConfirmedBatch, options.confirm) if options.confirm else Batch,
        )

    async def listen(
        self,
        channel: str,
        on_message: Callable[[bytes], object],
        on_subscribed: Callable[[], object],
    ) -> None:
        options = self._options
        client = self._client(options, options.connect_timeout_s)
        channel_name, changes = options.prefix + channel, self._changes(client)
        async with aclosing(client):
            await Subscriber(client, channel_name, on_message, on_subscribed, changes=changes).run()

    def scan(self, start: str) -> AsyncGenerator[bytes, None]:
        return keys_of(self.slices(start))

    async def slices(self, start: str) -> AsyncGenerator[list[bytes], None]:
        options = self._options
        pattern = pattern_of(options.prefix + start)
        async with aclosing(self._client(options, options.connect_timeout_s)) as client:
            async for keys in scanned(client, pattern, options.patience_s):
                yield keys

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Ask]:
        """Yield what sends single commands, for operators."""
        options = self._options
        async with aclosing(self._client(options, options.connect_timeout_s)) as client:
            yield asking(client, options.patience_s)


async def keys_of(slices: AsyncGenerator[list[bytes], None]) -> AsyncGenerator[bytes, None]:
    """Yield the keys of ``slices``, which end with it."""
    async with aclosing(slices) as listed:
        async for keys in listed:
            for key in keys:
                yield key


async def scanned(
    client: Redis, pattern: str, timeout_s: float
) -> AsyncGenerator[list[bytes], None]:
    """Yield the keys of one server: one command looks at a thousand. Raises `StoreUnavailable`."""
    cursor, is_over = 0, False
    while not is_over:
        try:
            async with asyncio.timeout(timeout_s):
                cursor, keys = await client.scan(cursor, match=pattern, count=SCANNED_AT_ONCE)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            raise StoreUnavailable(type(error).__name__) from error
        yield cast("list[bytes]", keys)
        is_over = cursor == 0


def pattern_of(start: str) -> str:
    """Return the pattern of keys that begin with ``start``, which holds no special character."""
    return f"{start}*"


_: type[StoreServer] = RedisServer
