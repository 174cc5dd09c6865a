"""
Kinds of stores: a table from the scheme of ``redis.url`` to how a store of it is reached.

A kind is one line of `STORE_KINDS`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, cast

from redis.asyncio import Redis

from gateway.core.errors import StartError
from gateway.store.cluster_server import ClusterServer
from gateway.store.connect import redis_client
from gateway.store.embedded import run_embedded, shared_embedded_url
from gateway.store.login import login_of
from gateway.store.rest_server import RestStoreServer
from gateway.store.sentinel import PrimaryPool, sentinel_client
from gateway.store.server import (
    Changes,
    RedisServer,
    StoreOptions,
    StoreServer,
    access_of,
)


@asynccontextmanager
async def _runs_elsewhere(url: str) -> AsyncIterator[str]:
    yield url


def _same_url(url: str) -> str:
    return url


class StoreKind(NamedTuple):
    """How the stores of one scheme are reached."""

    server: Callable[[StoreOptions], StoreServer]
    """Make what opens a store. Nothing is sent. Raises `StartError`, which names no secret."""
    run: Callable[[str], AbstractAsyncContextManager[str]] = _runs_elsewhere
    """Run the server of a URL, if that is the gateway's part; yields the URL for `server_of`."""
    shared_url: Callable[[str], str] = _same_url
    """The URL at which other processes, such as commands, reach it. Raises `StartError`."""


def server_of(options: StoreOptions) -> StoreServer:
    """
    Return what opens the store of ``options``. Nothing is sent yet.

    Raises `StartError`, which does not repeat the URL: it may hold a password.
    """
    return kind_of(options.url).server(options)


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


def _redis(options: StoreOptions) -> StoreServer:
    access = access_of(options)

    def client(given: StoreOptions, timeout_s: float) -> Redis:
        return redis_client(given.url, timeout_s, access)

    return RedisServer(options, client, lambda _: access.login.look if access.login else None)


def _sentinel(options: StoreOptions) -> StoreServer:
    access = access_of(options)
    own, login = access._replace(login=login_of(options.sentinel_login)), access.login

    def client(given: StoreOptions, timeout_s: float) -> Redis:
        return sentinel_client(given.url, timeout_s, access, own)

    def changes(client: Redis) -> Changes:
        watch = cast("PrimaryPool", client.connection_pool).watch
        return lambda now_s: watch.look(now_s) + (login.look(now_s) if login else 0)

    return RedisServer(options, client, changes)


def _embedded(options: StoreOptions) -> StoreServer:
    return _redis(options._replace(url=shared_embedded_url(options.url)))


STORE_KINDS: dict[str, StoreKind] = {
    "redis": StoreKind(_redis),
    "rediss": StoreKind(_redis),
    "unix": StoreKind(_redis),
    "redis+sentinel": StoreKind(_sentinel),
    "rediss+sentinel": StoreKind(_sentinel),
    "redis+cluster": StoreKind(ClusterServer),
    "rediss+cluster": StoreKind(ClusterServer),
    "embedded": StoreKind(_embedded, run_embedded, shared_embedded_url),
    "upstash+https": StoreKind(RestStoreServer),
    "upstash+http": StoreKind(RestStoreServer),
}
"""By scheme. `gateway.config.addresses` says what a URL of each must hold."""
