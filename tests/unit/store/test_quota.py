"""Errors of a quota."""

import logging
from typing import Any

import pytest
from redis.exceptions import ResponseError

from gateway.core.errors import StoreUnavailable
from gateway.store.exchanges import ReplyCheck
from gateway.store.line import Line
from gateway.store.packing import Command
from gateway.store.quota import quota_error, refuse_over_quota
from gateway.store.redis import RedisStore


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "ERR max daily request limit exceeded. Limit: 10000, Usage: 10001. See https://x",
            "max daily request limit exceeded",
            id="daily",
        ),
        pytest.param(
            "max requests limit exceeded. Limit: 500000",
            "max requests limit exceeded",
            id="as-redis-py-tells-it",
        ),
        pytest.param(
            "ERR max concurrent connections exceeded",
            "max concurrent connections exceeded",
            id="connections",
        ),
        pytest.param("ERR max single record size exceeded", None, id="of-one-command"),
        pytest.param("ERR no max requests limit exceeded", None, id="within-a-text"),
        pytest.param("ERR syntax error", None, id="another-error"),
    ],
)
def test_what_an_error_means(text: str, told: str | None) -> None:
    """Numbers and links are left out."""
    error = quota_error(text)

    assert told == (str(error) if error else None)


def test_other_replies_are_no_matter() -> None:
    """Values may hold what they like."""
    refuse_over_quota([b"ERR max requests limit exceeded", None, 5, ResponseError("ERR x")])


class UsedUp:
    """A database that has used up its quota, and says so for each command."""

    def __init__(self) -> None:
        self.asked = 0

    def take_ready(self, now_s: float) -> Line | None:  # noqa: ARG002 (of the protocol)
        return None

    async def execute(self, commands: list[Command], check: ReplyCheck) -> list[Any]:
        self.asked += 1
        replies = [ResponseError("max daily request limit exceeded. Limit: 10") for _ in commands]
        check(replies)
        return replies

    async def read(self, commands: list[Command], check: ReplyCheck, _trial: int) -> list[Any]:
        return await self.execute(commands, check)

    async def aclose(self) -> None:
        pass


async def test_a_database_over_its_quota_is_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    """The log says why, once; nothing is asked again at once, and callers do not wait."""
    database = UsedUp()
    store = RedisStore(database, "", 5, address="upstash+https://x.upstash.io")

    with caplog.at_level(logging.WARNING):
        with pytest.raises(StoreUnavailable, match="QuotaExceeded"):
            await store.get("k")
        with pytest.raises(StoreUnavailable, match="a moment ago"):
            await store.get("k")

    assert 1 == database.asked
    why = "QuotaExceeded: max daily request limit exceeded"
    assert [f"store upstash+https://x.upstash.io is unavailable: {why}"] == caplog.messages
