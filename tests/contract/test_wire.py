"""What we rely on in redis-py and in transports, which is not documented: held for each version."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import cast

import fakeredis
import pytest
import uvloop
from redis.asyncio import Connection, Redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.store.connect import redis_client as connect
from gateway.store.line import Lines
from gateway.store.redis import RedisStore
from gateway.store.wire import Wire
from tests.fakes.certificates import Authority
from tests.fakes.free_port import free_port
from tests.fakes.servers import TIMEOUT_S, Servers, valkey
from tests.fakes.timing import wait_until

ECHO = b"*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n"


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ``redis-server`` that speaks TLS alone, wants a password, and has a database 1."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on PATH")
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    authority = Authority(folder)
    certificate, key = authority.issue("127.0.0.1")
    options = {"port": 0, "tls-port": port, "bind": "127.0.0.1", "save": "", "dir": folder}
    options |= {"tls-cert-file": certificate, "tls-key-file": key, "tls-auth-clients": "no"}
    options |= {"tls-ca-cert-file": authority.file, "requirepass": "s3cret"}
    options |= {"unixsocket": folder / "s"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with subprocess.Popen([binary, *words], stdout=subprocess.DEVNULL) as process:
        wait_until((folder / "s").exists, within_s=30)
        yield f"rediss://:s3cret@127.0.0.1:{port}/1?ssl_ca_certs={authority.file}"
        process.terminate()


@pytest.fixture(params=["valkey", "redis", "tcp", "tls"])
async def transported(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Redis]:
    """A client of a real server, over each kind of transport."""
    with contextlib.ExitStack() as until_the_end:
        if request.param == "tls":
            url = request.getfixturevalue("tls_url")
        elif request.param == "tcp":
            url = until_the_end.enter_context(valkey(port=free_port())).url
        else:
            url = servers(request.param).url
        client = connect(url, TIMEOUT_S)
        yield client
        await client.aclose()


async def _adopted(client: Redis) -> tuple[Connection, Wire]:
    connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
    wire = Wire.adopt(connection)
    assert wire is not None
    return connection, wire


async def test_a_connection_of_redis_py_is_taken_over(transported: Redis) -> None:
    """With what redis-py has arranged on it: TLS, the password, the database."""
    connection, wire = await _adopted(transported)
    assert [b"x", b"x"] == await wire.replies(2 * ECHO, 2)

    [mine] = await wire.replies(b"*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n", 1)

    assert f" db={connection.db} ".encode() in mine


async def test_redis_py_closes_and_opens_it_again(transported: Redis) -> None:
    """The close ends at once, as its protocol is told; then the streams of redis-py work."""
    connection, wire = await _adopted(transported)

    await asyncio.wait_for(connection.disconnect(), TIMEOUT_S)
    assert not wire.is_open
    await transported.connection_pool.ensure_connection(connection)
    await connection.send_command("PING")
    assert b"PONG" == await connection.read_response()


async def test_redis_py_sees_that_it_was_lost(transported: Redis) -> None:
    """``ensure_connection`` replaces it."""
    connection, wire = await _adopted(transported)
    wire.cancel()
    while not await connection.can_read():
        await asyncio.sleep(0)

    await transported.connection_pool.ensure_connection(connection)

    second = Wire.adopt(connection)
    assert second is not None
    assert [b"x"] == await second.replies(ECHO, 1)


async def test_a_large_exchange_is_whole(transported: Redis) -> None:
    """Larger than the buffers of a socket, in both directions."""
    _, wire = await _adopted(transported)
    large = b"v" * (4 << 20)

    async with asyncio.timeout(20):
        replies = await wire.replies(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%b\r\n" % (len(large), large), 1)

    assert [large] == replies


async def test_a_store_works_over_each_transport(transported: Redis) -> None:
    """By wires alone."""
    store = RedisStore(transported, "gw:", TIMEOUT_S)
    await store.set("k", b"1", expires_at_ms=1 << 42)

    first, second = store.get("k"), store.get("absent")

    assert [b"1", None] == [await first, await second]
    assert all(line.wire is not None for line in cast("Lines", store._lines).idle)
    await store.delete("k")
    await store.aclose()


async def test_a_connection_without_a_transport_keeps_redis_pys_way() -> None:
    """So does fakeredis."""
    client = fakeredis.FakeAsyncRedis()
    connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]

    assert Wire.adopt(connection) is None
    await client.aclose()


def test_uvloop_hands_over_its_transports_too(servers: Servers) -> None:
    """The gateway runs on it."""

    async def exchanged() -> list[object]:
        client = connect(servers("valkey").url, TIMEOUT_S)
        connection, wire = await _adopted(client)
        replies = await wire.replies(2 * ECHO, 2)
        await asyncio.wait_for(connection.disconnect(), TIMEOUT_S)
        await client.aclose()
        return [*replies, wire.is_open]

    assert [b"x", b"x", False] == uvloop.run(exchanged())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("READONLY no", ReadOnlyError),
        ("NOSCRIPT no", NoScriptError),
        ("NOPERM no", NoPermissionError),
        ("WRONGTYPE no", ResponseError),
        ("ERR no", ResponseError),
        ("LOADING wait", BusyLoadingError),
        ("NOAUTH no", AuthenticationError),
        ("MASTERDOWN no", ResponseError),
        ("MOVED 1 h:1", MovedError),
        ("ASK 1 h:1", AskError),
        ("TRYAGAIN no", TryAgainError),
        ("CLUSTERDOWN no", ClusterDownError),
        ("ERR max number of clients reached", RedisConnectionError),
    ],
)
async def test_errors_are_of_redis_pys_classes(real_client: Redis, text: str, kind: type) -> None:
    """By its own table."""
    connection = await real_client.connection_pool.get_connection()  # type: ignore[no-untyped-call]

    error = connection._parser.parse_error(text)

    assert isinstance(error, kind)
    assert isinstance(error, ResponseError) != isinstance(error, RedisConnectionError)
