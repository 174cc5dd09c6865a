"""Build the store, its embedded server, and the subscription to what is published there."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, cast

from redis.exceptions import RedisError

from gateway.config.schema import Settings
from gateway.core.errors import StoreUnavailable
from gateway.core.invalidation import CHANNEL
from gateway.core.ports import Bus, Store
from gateway.store import connect
from gateway.store.bus import StoreBus
from gateway.store.pubsub import Subscriber
from gateway.store.redis import RedisStore
from gateway.util import stall
from gateway.util.background import background

_SCANNED_AT_ONCE = 1000


class SharedStore(NamedTuple):
    """A store that gateways use, and the bus that tells them of changes."""

    store: Store
    bus: Bus


@asynccontextmanager
async def store_server(settings: Settings) -> AsyncIterator[str]:
    """Run the embedded server where the config asks for one; yields the URL of the store."""
    async with connect.run_server(_configured_url(settings)) as url:
        yield url


@asynccontextmanager
async def open_store(
    url: str, settings: Settings, on_wrong_reply: Callable[[], object] = lambda: None
) -> AsyncIterator[Store]:
    """Open the store at ``url``. Nothing is sent yet."""
    timeout_s = settings.redis.timeout_s
    store = RedisStore(
        connect.connect(url, timeout_s * stall.LONGEST),  # its own deadlines end the waits before
        settings.redis.prefix,
        timeout_s,
        on_wrong_reply=on_wrong_reply,
        address=connect.address_of(url),
    )
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def subscription(url: str, settings: Settings, bus: StoreBus) -> AsyncIterator[None]:
    """Hand ``bus`` what is published at ``url``; does not wait for the store to answer."""
    client = connect.connect(url, settings.redis.timeout_s)
    channel = settings.redis.prefix + CHANNEL
    subscriber = Subscriber(client, channel, bus.receive, bus.subscribed)
    try:
        async with background(subscriber.run()):
            yield
    finally:
        await client.aclose()


@asynccontextmanager
async def shared_store(settings: Settings) -> AsyncIterator[SharedStore]:
    """
    Open the store that running gateways with this config use; for commands.

    Raises `StartError` for a store in a gateway's memory, which no other process can reach.
    """
    url = connect.shared_url(_configured_url(settings))
    async with open_store(url, settings) as store:
        yield SharedStore(store, StoreBus(store))


async def scan_keys(settings: Settings, start: str) -> AsyncGenerator[str, None]:
    """
    Yield all keys of the shared store that begin with ``start``, without the configured prefix.

    Some may come twice. It reads all keys there are, a thousand at a time: for operators, who can
    wait. Raises `StoreUnavailable` or `StartError`.
    """
    timeout_s, prefix = settings.redis.timeout_s, settings.redis.prefix
    client = connect.connect(connect.shared_url(_configured_url(settings)), timeout_s)
    pattern = f"{prefix}{start}*"  # neither may hold what a pattern would read
    cursor, is_over = 0, False
    try:
        while not is_over:
            async with asyncio.timeout(timeout_s):
                cursor, keys = await client.scan(cursor, match=pattern, count=_SCANNED_AT_ONCE)
            for key in cast("list[bytes]", keys):
                with suppress(UnicodeDecodeError):  # of another program
                    yield key.decode().removeprefix(prefix)
            is_over = cursor == 0
    except (RedisError, OSError) as error:
        raise StoreUnavailable(type(error).__name__) from error
    finally:
        await client.aclose()


def _configured_url(settings: Settings) -> str:
    return settings.redis.url.get_secret_value()
