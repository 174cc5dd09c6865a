"""Clients of redis-py from URLs."""

import pytest
from redis.asyncio import Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from gateway.core.errors import StartError
from gateway.store.connect import address_of, cause_of, is_upstash, redis_client


def _settings(client: Redis) -> dict[str, object]:
    return dict(client.connection_pool.connection_kwargs)


def _connection(url: str) -> AbstractConnection:
    pool = redis_client(url, 0.25).connection_pool
    return pool.make_connection()  # type: ignore[no-any-return, no-untyped-call]


async def test_a_tcp_url_sets_the_connection() -> None:
    """Host, port, database and credentials come from the URL."""
    settings = _settings(redis_client("redis://ann:s3cret@example.com:6380/2", 0.25))

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
    pool = redis_client("unix:///run/redis.sock?db=1", 0.25).connection_pool

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
        redis_client(url, 0.25)

    assert "s3cret" not in str(fault.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://example.com:6380/2", "redis://example.com:6380/2"),
        ("rediss://ann:s3cr@t@example.com?ssl_ca_certs=/ca", "rediss://example.com"),
        ("redis://:s3cret@[::1]:6379", "redis://[::1]:6379"),
        ("unix:///run/redis.sock?password=s3cret", "unix:///run/redis.sock"),
        ("unix://ann:s3cret@/run/redis.sock", "unix:///run/redis.sock"),
        ("redis+sentinel://ann:s3cret@h1:1,h2/main/0", "redis+sentinel://h1:1,h2/main/0"),
        ("redis+sentinel://:s3cret@h1,[::1]:2/main?db=1", "redis+sentinel://h1,[::1]:2/main"),
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


@pytest.mark.parametrize(
    ("url", "is_so"),
    [
        ("upstash+https://eu1-cat-1.upstash.io", True),
        ("upstash+http://127.0.0.1:8079", True),
        ("rediss://default:s3cret@eu1-cat-1.upstash.io:6379", True),
        ("rediss://EU1-cat-1.Upstash.io", True),
        ("rediss://upstash.io.example.com", False),
        ("rediss://notupstash.io", False),
        ("redis://example.com", False),
        ("unix:///run/x.upstash.io", False),
        ("embedded://", False),
    ],
)
def test_which_stores_are_upstashs(url: str, *, is_so: bool) -> None:
    """By the scheme of the REST API, or by the host."""
    assert is_so == is_upstash(url)


async def test_a_pool_hands_out_as_many_connections_as_the_store_asks_for() -> None:
    """The store has a bound of its own, and twice as many while they are replaced."""
    pool = redis_client("redis://example.com", 0.25).connection_pool

    connections = {id(pool.get_available_connection()) for _ in range(1000)}  # type: ignore[no-untyped-call]

    assert 1000 == len(connections)
