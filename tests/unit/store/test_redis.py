"""What happens to callers when the gateway itself is at fault."""

import asyncio

import fakeredis
import pytest

from gateway.core.errors import StoreUnavailable
from gateway.store.redis import RedisStore


async def test_a_loop_that_stops_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is cancelled tells its callers so."""
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


async def test_a_fault_of_ours_does_not_hang_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong under way, they hear of it, by its class."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 1)
    monkeypatch.setattr(store, "_execute", None)

    with pytest.raises(StoreUnavailable, match="TypeError"):
        await store.get("k")
    await store.aclose()


async def test_the_clock_of_the_breaker_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the store is asked again when the pause is over, by that clock."""
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
