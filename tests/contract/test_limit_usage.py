"""Callers who have used most of a limit, over fakeredis, Valkey and Redis."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import pytest
from redis.asyncio import Redis

from gateway.config import compile as compiled
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.redis import RedisLimiter
from gateway.runtime.limit_usage import LimitUsage
from gateway.store.redis import RedisStore
from tests.fakes.services import settings_of


@pytest.mark.parametrize("algorithm", ["sliding-window", "fixed-window", "token-bucket"])
async def test_callers_are_told_as_they_are_counted(
    store: RedisStore, client: Redis, algorithm: str
) -> None:
    """Looking charges nothing."""
    settings = settings_of(f"limits: {{three: {{rate: 3/day, algorithm: {algorithm}}}}}")
    limit = compiled.limit("three", settings.limits["three"])
    limiter = RedisLimiter(store, LocalLimiter())
    for caller, times in (("203.0.113.9", 4), ("203.0.113.7", 2)):
        await asyncio.gather(*(limiter.spend(limit, caller) for _ in range(times)))

    async def scan(start: str) -> AsyncGenerator[list[str], None]:
        for key in cast("list[bytes]", await client.keys()):
            if start in (text := key.decode()):
                yield [text[text.index(start) :]]

    for _ in range(2):
        told = await LimitUsage(settings, store, scan).callers("three")
        assert [("203.0.113.9", 3, 0, True), ("203.0.113.7", 2, 1, False)] == [
            (each["caller"], each["used"], each["left"], each["refuses"])
            for each in told["callers"]
        ]
