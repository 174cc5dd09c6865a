"""Callers of the store when the gateway itself has a bug, or its loop is stalled."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import fakeredis
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.core.errors import StoreUnavailable
from gateway.store.connect import redis_client as connect
from gateway.store.line import Lines
from gateway.store.packing import Command
from gateway.store.redis import IN_FLIGHT, RedisStore
from tests.fakes.servers import valkey

SHORT_S = 0.25
"""A time-out that a test can stall for, and within which a server on a busy machine replies."""


@asynccontextmanager
async def _mortal_store(timeout_s: float) -> AsyncIterator[RedisStore]:
    with valkey() as server:
        store = RedisStore(connect(server.url, 10), "", timeout_s)
        yield store
        await store.aclose()


@pytest.fixture
async def mortal_store() -> AsyncIterator[RedisStore]:
    """A store on a server of its own."""
    async with _mortal_store(10) as store:
        yield store


@pytest.fixture
async def hasty_store() -> AsyncIterator[RedisStore]:
    """The same with a short time-out."""
    async with _mortal_store(SHORT_S) as store:
        yield store


async def test_a_cancelled_batch_fails_its_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No caller waits when the loop stops."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 1)
    monkeypatch.setattr(store._lines, "execute", lambda *_: asyncio.Event().wait())
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
    monkeypatch.setattr(store._lines, "execute", None)

    with pytest.raises(StoreUnavailable, match="TypeError"):
        await store.get("k")
    await store.aclose()


async def test_the_breaker_uses_the_given_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure, the store is asked again when the pause is over."""
    now_s = 10.0
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 1, clock=lambda: now_s)
    with monkeypatch.context() as failing:
        failing.setattr(store._lines, "execute", None)
        with pytest.raises(StoreUnavailable):
            await store.get("k")
    with pytest.raises(StoreUnavailable, match="a moment ago"):
        await store.get("k")

    now_s += 1

    assert await store.get("k") is None
    await store.aclose()


async def test_the_log_says_which_store_is_unavailable_and_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and when it is back; however many callers are refused meanwhile."""
    now_s = 10.0
    store = RedisStore(
        fakeredis.FakeAsyncRedis(), "", 1, clock=lambda: now_s, address="redis://db:6379"
    )

    async def refuse(*_: object) -> None:
        raise RedisConnectionError("Connection refused.")

    with monkeypatch.context() as failing, caplog.at_level(logging.INFO):
        failing.setattr(store._lines, "execute", refuse)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.get("k")
            now_s += 0.3
        failing.undo()
        now_s += 1
        await store.get("k")

    assert [
        "store redis://db:6379 is unavailable: ConnectionError: Connection refused.",
        "store redis://db:6379 answers again",
    ] == caplog.messages
    await store.aclose()


async def test_a_batch_that_waits_for_another_has_a_deadline_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its callers are refused even where no exchange ever ends."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 0.02)

    async def never(*_: object) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if has_ended:
                    raise

    has_ended = False
    monkeypatch.setattr(store._lines, "execute", never)
    asking = []
    for number in range(IN_FLIGHT + 1):
        asking.append(asyncio.ensure_future(store.get(f"k{number}")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async with asyncio.timeout(10):
        answers = await asyncio.gather(*asking, return_exceptions=True)

    assert [StoreUnavailable] * len(asking) == list(map(type, answers))
    has_ended = True
    for task in tuple(store._tasks):
        task.cancel()
    await store.aclose()


async def test_a_stall_of_our_own_loop_refuses_no_reply(hasty_store: RedisStore) -> None:
    """What has arrived meanwhile is read before the time is over, and the breaker stays closed."""
    await hasty_store.ping()
    asking = asyncio.ensure_future(hasty_store.get("k"))
    for _ in range(3):
        await asyncio.sleep(0)  # until it is on its way

    time.sleep(3 * SHORT_S)  # noqa: ASYNC251 (the stall)

    assert await asking is None
    assert hasty_store._breaker.is_closed


async def test_many_short_stalls_refuse_no_reply(hasty_store: RedisStore) -> None:
    """Each turn of the loop takes as long as the time-out, and an exchange takes several."""
    is_over = False

    async def stall() -> None:
        while not is_over:
            time.sleep(SHORT_S)  # noqa: ASYNC251 (the stall)
            await asyncio.sleep(0)

    await hasty_store.ping()
    stalling = asyncio.ensure_future(stall())
    values = await asyncio.gather(*(hasty_store.get(f"k{n}") for n in range(3)))
    is_over = True
    await stalling

    assert [None] * 3 == values
    assert hasty_store._breaker.is_closed


async def test_a_failure_of_a_get_is_raised_when_it_is_awaited() -> None:
    """So several can be asked for at once, and each caller hears of its own."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 1)
    await store.aclose()

    asked = store.get("k"), store.get("\ud800")

    failures = await asyncio.gather(*asked, return_exceptions=True)
    assert [StoreUnavailable, UnicodeEncodeError] == list(map(type, failures))


async def test_values_asked_for_before_a_wait_travel_together(
    mortal_store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One exchange serves them, without a task."""
    await mortal_store.set("a", b"1", expires_at_ms=int((time.time() + 60) * 1000))
    sent: list[list[Command]] = []
    lines = cast("Lines", mortal_store._lines)
    pack = lines.packed

    def counted(commands: list[Command]) -> tuple[bytes, bytes]:
        sent.append(commands)
        return pack(commands)

    monkeypatch.setattr(lines, "packed", counted)
    first, second = mortal_store.get("a"), mortal_store.get("b")

    assert [b"1", None] == [await first, await second]
    assert [[("MGET", b"a", b"b")]] == sent
    assert set() == mortal_store._tasks


async def test_a_batch_that_cannot_be_packed_refuses_its_callers(
    mortal_store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours lets no caller wait, and the connection serves on."""
    await mortal_store.ping()
    with monkeypatch.context() as failing:
        failing.setattr(mortal_store._lines, "packed", None)
        with pytest.raises(StoreUnavailable, match="TypeError"):
            await mortal_store.get("k")
    mortal_store._breaker.succeeded()

    assert await mortal_store.get("k") is None
    assert 0 == mortal_store._in_flight


async def test_a_task_that_is_cancelled_before_it_runs_ends_its_batch() -> None:
    """Its callers are refused, and a close does not wait for it."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 1)
    asking = store.get("k")
    await asyncio.sleep(0)
    [batch_task] = store._tasks
    batch_task.cancel()

    with pytest.raises(StoreUnavailable, match="no reply"):
        await asking
    await asyncio.wait_for(store.aclose(), 20)


async def test_a_batch_whose_time_is_over_before_its_task_runs_is_not_sent() -> None:
    """Its deadline is watched no more then."""
    store = RedisStore(fakeredis.FakeAsyncRedis(), "", 1)
    asking, batch = store.get("k"), store._waiting
    await asyncio.sleep(0)
    [task] = store._tasks

    store._expire(batch)

    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        await asking
    await asyncio.wait([task])
    assert task.cancelled()
    await asyncio.wait_for(store.aclose(), 20)


async def test_two_closes_end_together(mortal_store: RedisStore) -> None:
    """One that is cancelled does not disturb the other."""
    asking = mortal_store.get("k")
    closes = [asyncio.ensure_future(mortal_store.aclose()) for _ in range(3)]
    await asyncio.sleep(0)
    closes[0].cancel()

    results = await asyncio.wait_for(asyncio.gather(*closes, return_exceptions=True), 20)

    assert [asyncio.CancelledError, type(None), type(None)] == list(map(type, results))
    assert await asking is None
