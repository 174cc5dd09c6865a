"""
Store kinds: a table from the scheme of ``redis.url`` to how a client of the store is made.

A kind is one line of `STORE_KINDS`. Every kind speaks the Redis protocol: `RedisStore`,
`Subscriber` and the commands work on the client that it makes.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.core.errors import StartError
from gateway.store.embedded import run_embedded, shared_embedded_url

HEALTH_CHECK_S = 30
"""A connection that was idle for longer is pinged before it is used."""


@asynccontextmanager
async def _runs_elsewhere(url: str) -> AsyncIterator[str]:
    yield url


def _same_url(url: str) -> str:
    return url


class StoreKind(NamedTuple):
    """How the stores of one scheme are reached."""

    client: Callable[[str, float], Redis]
    """Make a client from a URL and a time-out in seconds. Nothing is sent yet."""
    run: Callable[[str], AbstractAsyncContextManager[str]] = _runs_elsewhere
    """Run the server of a URL, if that is the gateway's part; yields the URL for `connect`."""
    shared_url: Callable[[str], str] = _same_url
    """The URL at which other processes, such as commands, reach it. Raises `StartError`."""


def connect(url: str, timeout_s: float) -> Redis:
    """
    Create a client of the store at ``url``. Nothing is sent yet.

    Raises `StartError`, which does not repeat the URL: it may hold a password.
    """
    return kind_of(url).client(url, timeout_s)


def run_server(url: str) -> AbstractAsyncContextManager[str]:
    """Run the server of ``url`` until the context ends, if it is the gateway's part to run it."""
    return kind_of(url).run(url)


def shared_url(url: str) -> str:
    """Return the URL at which other processes reach the store. Raises `StartError`."""
    return kind_of(url).shared_url(url)


def kind_of(url: str) -> StoreKind:
    """Look up the kind of a store. Raises `StartError` for a scheme that has no line."""
    scheme, separator, _ = url.partition("://")
    kind = STORE_KINDS.get(scheme) if separator else None
    if kind is None:
        known = ", ".join(f"{scheme}://" for scheme in STORE_KINDS)
        raise StartError(f"redis.url must begin with one of {known}")
    return kind


def address_of(url: str) -> str:
    """Return ``url`` for the log: without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def cause_of(error: Exception) -> str:
    """
    Describe a failure for the log.

    What failed in connecting is told; what a server says of a command is not, as it may hold a key.
    """
    is_told = isinstance(error, RedisConnectionError | OSError) and str(error)
    return f"{type(error).__name__}: {error}" if is_told else type(error).__name__


def redis_client(url: str, timeout_s: float) -> Redis:
    """
    Make a client of redis-py, set up for `RedisStore`.

    Retries are off: by default, redis-py repeats a failed command ten times over four seconds,
    writes included. Maintenance notifications (on by default in RESP3) are off: with them, its pool
    no longer discards a connection with an unread reply. There is no time-out for each reply, which
    would cost a task and a timer: `RedisStore` has a deadline for the whole exchange.
    """
    try:
        return Redis.from_url(
            url,
            decode_responses=False,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=timeout_s,
            socket_timeout=None,
            health_check_interval=HEALTH_CHECK_S,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
    except ValueError:
        raise StartError("redis.url cannot be read") from None


def _embedded_client(url: str, timeout_s: float) -> Redis:
    return redis_client(shared_embedded_url(url), timeout_s)


STORE_KINDS: dict[str, StoreKind] = {
    "redis": StoreKind(redis_client),
    "rediss": StoreKind(redis_client),
    "unix": StoreKind(redis_client),
    "embedded": StoreKind(_embedded_client, run_embedded, shared_embedded_url),
}
"""By scheme. `gateway.config.addresses` says what a URL of each must hold."""
