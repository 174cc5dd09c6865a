"""Callers of the store when the gateway itself has a bug."""

import asyncio

import fakeredis
import pytest

from gateway.core.errors import StoreUnavailable
from gateway.store.redis import RedisStore


async def test_a_cancelled_batch_fails_its_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No caller waits when the loop stops."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 1)
    monkeypatch.setattr(store, "_execute", lambda _: asyncio.Event().wait())
    asking = asyncio.ensure_future(store.get("k"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    [batch_task] = store._tasks
    batch_task.cancel()

    with pytest.raises(StoreUnavailable, match="closed"):
        await asking
    await store.aclose()


async def test_a_bug_fails_its_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names the class of the exception."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 1)
    monkeypatch.setattr(store, "_execute", None)

    with pytest.raises(StoreUnavailable, match="TypeError"):
        await store.get("k")
    await store.aclose()


async def test_the_breaker_uses_the_given_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure, the store is asked again when the pause is over."""
    now_s = 10.0
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 1, clock=lambda: now_s)
    with monkeypatch.context() as failing:
        failing.setattr(store, "_execute", None)
        with pytest.raises(StoreUnavailable):
            await store.get("k")
    with pytest.raises(StoreUnavailable, match="a moment ago"):
        await store.get("k")

    now_s += 1

    assert await store.get("k") is None
    await store.aclose()
