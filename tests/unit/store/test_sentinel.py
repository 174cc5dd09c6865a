"""Which server the sentinels name."""

from typing import cast

import pytest
from redis.asyncio import Redis, SSLConnection
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.core.errors import StartError
from gateway.store.connect import Access, StoreTlsConnection, redis_client
from gateway.store.login import Login, LoginOptions
from gateway.store.sentinel import (
    PrimaryConnection,
    PrimaryPool,
    SentinelReply,
    Sentinels,
    chosen,
    sentinel_client,
)
from gateway.util.client_tls import ClientTls, ClientTlsFiles
from tests.fakes.cluster_nodes import fake_nodes

OLD, NEW = ("192.0.2.1", 6379), ("192.0.2.2", 6379)
NO_ACCESS = Access()


def _pool(url: str, access: Access, sentinel_access: Access) -> PrimaryPool:
    """The connections of a client, which opens none of them."""
    return cast("PrimaryPool", sentinel_client(url, 1.0, access, sentinel_access).connection_pool)


def test_the_newest_configuration_counts() -> None:
    """A sentinel that was cut off from the others still names the old primary."""
    replies = [
        SentinelReply(OLD, 1, is_down=False),
        SentinelReply(NEW, 2, is_down=False),
        SentinelReply(OLD, 1, is_down=True),
    ]

    assert NEW == chosen("main", replies, [])


def test_one_that_is_down_as_some_say_may_be_tried() -> None:
    """The others have not agreed yet."""
    replies = [SentinelReply(OLD, 1, is_down=True), SentinelReply(OLD, 1, is_down=False)]

    assert OLD == chosen("main", replies, [])
    with pytest.raises(MasterNotFoundError, match="main is down"):
        chosen("main", replies[:1], [])


def test_without_a_reply_the_error_says_why() -> None:
    """The name may be wrong, or the sentinels away."""
    errors = [RedisConnectionError("refused"), RedisConnectionError("refused")]

    with pytest.raises(MasterNotFoundError, match=r"primary main: ConnectionError: refused$"):
        chosen("main", [], errors)
    with pytest.raises(MasterNotFoundError, match="no reply"):
        chosen("main", [], [])


@pytest.mark.parametrize(
    "reply",
    [
        None,
        1,
        b"",
        [],
        [b"ip"],
        [[1], 2],
        [b"ip", b"\xff", b"port", b"1", b"flags", b"master", b"config-epoch", b"9"],
        [b"ip", b"", b"port", b"1", b"flags", b"master", b"config-epoch", b"9"],
        [b"ip", b"h", b"port", b"x", b"flags", b"master", b"config-epoch", b"9"],
        [b"ip", b"h", b"port", b"65536", b"flags", b"master", b"config-epoch", b"9"],
        [b"ip", b"h", b"port", b"1", b"flags", None, b"config-epoch", b"9"],
    ],
)
async def test_a_sentinel_that_talks_nonsense_is_passed_over(reply: object) -> None:
    """The others name the primary; alone, it names none."""
    good = [b"ip", b"192.0.2.1", b"port", b"6379", b"flags", b"master", b"config-epoch", b"1"]
    async with fake_nodes(3) as nodes:
        for node, said in zip(nodes, (reply, good, good), strict=True):
            node.replies[b"SENTINEL"] = [said] * 2
        clients = [redis_client(f"redis://{node.address}", 20.0) for node in nodes]
        every, alone = Sentinels(clients, 20.0), Sentinels(clients[:1], 20.0)
        try:
            assert OLD == await every.discover_master("main")
            with pytest.raises(MasterNotFoundError, match="InvalidResponse"):
                await alone.discover_master("main")
        finally:
            await every.aclose()


async def test_options_of_the_url_are_for_the_servers() -> None:
    """Those of TLS are for the sentinels, too."""
    url = "rediss+sentinel://ann:s3cret@h1,[::1]:7/main/3?ssl_ca_certs=/ca&socket_read_size=9"
    pool = _pool(url, NO_ACCESS, NO_ACCESS)
    first, second = (client.connection_pool for client in pool._sentinels._clients)

    settings = pool.connection_kwargs
    assert ("ann", "s3cret", 3, "/ca") == tuple(
        settings[name] for name in ("username", "password", "db", "ssl_ca_certs")
    )
    assert issubclass(pool.connection_class, PrimaryConnection)
    assert issubclass(pool.connection_class, SSLConnection)
    assert ("h1", 26379, "/ca") == tuple(
        first.connection_kwargs[name] for name in ("host", "port", "ssl_ca_certs")
    )
    assert ("::1", 7) == tuple(second.connection_kwargs[name] for name in ("host", "port"))
    assert "username" not in first.connection_kwargs


async def test_sentinels_have_credentials_of_their_own() -> None:
    """And the certificates of ``redis.tls`` are for both."""
    tls = ClientTls(ClientTlsFiles())
    access = Access(Login(LoginOptions("gw", "a")), tls, "db.internal")
    own = access._replace(login=Login(LoginOptions(password="b")))
    pool = _pool("rediss+sentinel://h1/main", access, own)
    [sentinel] = (client.connection_pool for client in pool._sentinels._clients)

    for each, login in ((pool, access.login), (sentinel, own.login)):
        assert issubclass(each.connection_class, StoreTlsConnection)
        assert login is each.connection_kwargs["credential_provider"]
        assert "db.internal" == each.connection_kwargs["server_name"]


def test_a_url_that_cannot_be_read_is_not_repeated() -> None:
    """It may hold a password."""
    with pytest.raises(StartError, match=r"redis\.url cannot be read: expected") as error:
        sentinel_client("redis+sentinel://:s3cret@h1", 1.0, NO_ACCESS, NO_ACCESS)
    assert "s3cret" not in str(error.value)


GOOD = {b"ip": b"192.0.2.1", b"port": b"6379", b"config-epoch": b"3", b"flags": b"master"}


class Asked:
    """Stands for a client of a sentinel, which replies as it is told."""

    def __init__(self, reply: object) -> None:
        self._reply = reply

    async def execute_command(self, *_: str) -> object:
        return self._reply


def _words(fields: dict[bytes, bytes]) -> list[bytes]:
    return [word for pair in fields.items() for word in pair]


@pytest.mark.parametrize(
    "reply",
    [
        None,
        7,
        b"OK",
        [],
        [b"ip"],
        [[b"ip"], b"x"],
        _words(GOOD)[:-1],
        _words(GOOD)[:-2],
        GOOD | {b"port": b"x"},
        GOOD | {b"port": b"0"},
        GOOD | {b"port": b"65536"},
        GOOD | {b"config-epoch": None},
        GOOD | {b"ip": b"\xff"},
        GOOD | {b"ip": b""},
        GOOD | {b"flags": 7},
    ],
)
async def test_what_is_no_reply_of_a_sentinel_counts_as_none(reply: object) -> None:
    """The others are asked too; where none is left, the error says why."""
    garbled = cast("Redis", Asked(reply))
    good = [cast("Redis", Asked(each)) for each in (GOOD, _words(GOOD))]

    assert OLD == await Sentinels([garbled, *good], 5).discover_master("main")
    with pytest.raises(MasterNotFoundError, match="InvalidResponse"):
        await Sentinels([garbled], 5).discover_master("main")
