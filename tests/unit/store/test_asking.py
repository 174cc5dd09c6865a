"""Single commands of operators."""

import pytest
from redis.exceptions import (
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from gateway.core.errors import StoreUnavailable
from gateway.store.asking import CommandRefused, asking, code_of
from gateway.store.connect import redis_client
from tests.fakes.servers import valkey


async def test_replies_are_left_as_they_are() -> None:
    """Errors are told by their code alone: their text may hold a key."""
    with valkey() as server:
        client = redis_client(server.url, 1.0)
        ask = asking(client, 5.0)

        assert b"OK" == await ask("SET", "k", 1)
        assert isinstance(await ask("INFO"), bytes)
        with pytest.raises(CommandRefused, match="WRONGTYPE"):
            await ask("HGET", "k", "f")
        server.kill()
        with pytest.raises(StoreUnavailable, match="ConnectionError"):
            await ask("GET", "k")
        await client.aclose()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoPermissionError("this user has no permissions"), "NOPERM"),
        (ReadOnlyError("You can't write"), "READONLY"),
        (OutOfMemoryError("command not allowed"), "OOM"),
        (ResponseError("BUSY Redis is busy"), "BUSY"),
        (ResponseError("unknown command"), "ResponseError"),
    ],
)
def test_codes(error: RedisError, code: str) -> None:
    """As the server sends them, where redis-py leaves them."""
    assert code == code_of(error)
