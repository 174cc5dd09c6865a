"""From settings to the store, to its embedded server, and to what is published there."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.config.schema import Settings
from gateway.core.invalidation import CHANNEL
from gateway.core.ports import Store
from gateway.store.bus import StoreBus
from gateway.store.connect import connect
from gateway.store.embedded import EmbeddedServer
from gateway.store.pubsub import Subscriber
from gateway.store.redis import RedisStore
from gateway.util.background import background


@asynccontextmanager
async def store_url(settings: Settings, embedded_url: str | None) -> AsyncIterator[str]:
    """Where the store is; for ``embedded://`` with its server, unless that runs already."""
    async with AsyncExitStack() as stack:
        if embedded_url is None:
            embedded_url = await stack.enter_async_context(embedded(settings))
        yield embedded_url or settings.redis.url.get_secret_value()


@asynccontextmanager
async def store_at(url: str, settings: Settings) -> AsyncIterator[Store]:
    """The store there."""
    timeout_s = settings.redis.timeout_s
    store = RedisStore(connect(url, timeout_s), settings.redis.prefix, timeout_s)
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def hearing(url: str, settings: Settings, bus: StoreBus) -> AsyncIterator[None]:
    """What is published there is told to ``bus``; does not wait for the store to answer."""
    client = connect(url, settings.redis.timeout_s)
    channel = settings.redis.prefix + CHANNEL
    subscriber = Subscriber(client, channel, bus.heard, bus.subscribed)
    try:
        async with background(subscriber.run()):
            yield
    finally:
        await client.aclose()


@asynccontextmanager
async def embedded(settings: Settings) -> AsyncIterator[str | None]:
    """The URL of a server that runs until the context ends, where the config asks for one."""
    url = settings.redis.url.get_secret_value()
    if not url.startswith("embedded://"):
        yield None
        return
    server = EmbeddedServer(_embedded_directory(url))
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


def _embedded_directory(url: str) -> Path | None:
    path = unquote(urlsplit(url).path)
    return Path(path) if path else None
