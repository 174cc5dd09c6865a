"""Clients of redis-py from URLs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from gateway.config.addresses import redis_url
from gateway.core.errors import StartError
from gateway.store.connect import (
    STORE_KINDS,
    StoreKind,
    address_of,
    cause_of,
    connect,
    redis_client,
    run_server,
    shared_url,
)


def _settings(client: Redis) -> dict[str, object]:
    return dict(client.connection_pool.connection_kwargs)


def _connection(url: str) -> AbstractConnection:
    pool = connect(url, 0.25).connection_pool
    return pool.make_connection()  # type: ignore[no-any-return, no-untyped-call]


async def test_a_tcp_url_sets_the_connection() -> None:
    """Host, port, database and credentials come from the URL."""
    settings = _settings(connect("redis://ann:s3cret@example.com:6380/2", 0.25))

    assert ("example.com", 6380, 2, "ann", "s3cret") == tuple(
        settings[name] for name in ("host", "port", "db", "username", "password")
    )
    assert 0.25 == settings["socket_connect_timeout"]


async def test_a_tls_url_verifies_the_server() -> None:
    """Certificate and host name are checked unless the URL says otherwise."""
    connection = _connection("rediss://example.com")

    assert isinstance(connection, SSLConnection)
    assert connection.ssl_context.check_hostname
    assert "required" == connection.cert_reqs.name.removeprefix("CERT_").lower()


async def test_a_unix_url_sets_the_socket() -> None:
    """The embedded server uses one."""
    pool = connect("unix:///run/redis.sock?db=1", 0.25).connection_pool

    assert pool.connection_class is UnixDomainSocketConnection
    assert "/run/redis.sock" == pool.connection_kwargs["path"]


async def test_retries_are_off() -> None:
    """By default, redis-py sends writes up to eleven times."""
    assert 0 == _connection("redis://example.com").retry.get_retries()


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "http://x:s3cret@example.com", "redis://x:s3cret@example.com:port/0"],
)
async def test_the_error_does_not_repeat_the_url(url: str) -> None:
    """It may hold a password, and the message is logged."""
    with pytest.raises(StartError) as fault:
        connect(url, 0.25)

    assert "s3cret" not in str(fault.value)


# --- the table of kinds -------------------------------------------------------------------------


@asynccontextmanager
async def _toy_box(url: str) -> AsyncIterator[str]:
    yield url.replace("toy://", "unix:///run/")


async def test_a_toy_kind_of_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says how its server is run, where others find it, and how a client is made."""

    def client(url: str, timeout_s: float) -> Redis:
        return redis_client(url.replace("toy://", "unix:///run/"), timeout_s)

    kind = StoreKind(client, _toy_box, lambda url: f"{url}/shared")
    monkeypatch.setitem(STORE_KINDS, "toy", kind)
    made = connect("toy://box", 0.25).connection_pool.connection_kwargs
    async with run_server("toy://box") as url:
        assert "unix:///run/box" == url
    assert ("/run/box", "toy://box/shared") == (made["path"], shared_url("toy://box"))


async def test_servers_that_run_elsewhere_are_not_started() -> None:
    """Their URL is used as it is, by commands too."""
    async with run_server("redis://example.com") as url:
        assert "redis://example.com" == url == shared_url("redis://example.com")


@pytest.mark.parametrize("scheme", STORE_KINDS)
def test_the_config_takes_every_kind(scheme: str) -> None:
    """`redis.url` may have each scheme of the table."""
    places = {"unix": "/run/s", "embedded": ""}
    text = f"{scheme}://{places.get(scheme, 'example.com')}"
    assert text == redis_url(text).get_secret_value()


def test_an_embedded_store_in_memory_is_not_shared() -> None:
    """No other process can reach it; one in a directory can be reached at its socket."""
    with pytest.raises(StartError, match="the gateway's own"):
        shared_url("embedded://")
    assert "unix:///var/lib/gw/valkey.sock" == shared_url("embedded:///var/lib/gw")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://example.com:6380/2", "redis://example.com:6380/2"),
        ("rediss://ann:s3cr@t@example.com?ssl_ca_certs=/ca", "rediss://example.com"),
        ("redis://:s3cret@[::1]:6379", "redis://[::1]:6379"),
        ("unix:///run/redis.sock?password=s3cret", "unix:///run/redis.sock"),
        ("unix://ann:s3cret@/run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_an_address_for_the_log_holds_no_password(url: str, address: str) -> None:
    """Neither user nor options."""
    assert address == address_of(url)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RedisConnectionError("Connection refused."), "ConnectionError: Connection refused."),
        (TimeoutError("no reply within 250 ms"), "TimeoutError: no reply within 250 ms"),
        (TimeoutError(), "TimeoutError"),
        (ResponseError("WRONGTYPE session:abc"), "ResponseError"),
    ],
)
def test_a_cause_for_the_log_names_no_key(error: Exception, cause: str) -> None:
    """What connecting failed by is told in full."""
    assert cause == cause_of(error)
