"""One shared fetch for concurrent callers."""

import asyncio
import gc

import pytest

from gateway.util.single_flight import SingleFlight


class Fetch:
    """Counts its calls, and returns when ``gate`` opens; raises ``error`` if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.gate = asyncio.Event()
        self.error = error

    async def __call__(self) -> int:
        self.calls += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.calls


async def started(*waiters: "asyncio.Task[int]") -> None:
    """Let all waiters start."""
    for _ in waiters:
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_concurrent_callers_share_one_fetch() -> None:
    """A caller after its end starts a new one."""
    flights, fetch = SingleFlight[str, int](), Fetch()
    waiters = [asyncio.create_task(flights.run("a", fetch)) for _ in range(5)]
    await started(*waiters)
    fetch.gate.set()
    assert await asyncio.gather(*waiters) == [1] * 5
    assert await flights.run("a", fetch) == 2


async def test_each_key_has_its_own_fetch() -> None:
    """Different keys are different calls."""
    flights, fetch = SingleFlight[str, int](), Fetch()
    fetch.gate.set()
    await asyncio.gather(flights.run("a", fetch), flights.run("b", fetch))
    assert fetch.calls == 2


async def test_a_cancelled_caller_does_not_cancel_the_fetch() -> None:
    """The other callers get its result."""
    flights, fetch = SingleFlight[str, int](), Fetch()
    waiters = [asyncio.create_task(flights.run("a", fetch)) for _ in range(3)]
    await started(*waiters)
    waiters[0].cancel()
    await asyncio.sleep(0)
    fetch.gate.set()
    assert await asyncio.gather(*waiters[1:]) == [1, 1]
    with pytest.raises(asyncio.CancelledError):
        await waiters[0]


async def test_a_failure_reaches_all_callers_and_is_not_kept() -> None:
    """The next caller starts a new fetch."""
    flights, fetch = SingleFlight[str, int](), Fetch(ValueError("no"))
    waiters = [asyncio.create_task(flights.run("a", fetch)) for _ in range(3)]
    await started(*waiters)
    fetch.gate.set()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert [ValueError] * 3 == [type(outcome) for outcome in outcomes]
    fetch.error = None
    assert await flights.run("a", fetch) == 2


async def test_a_failure_without_callers_is_not_reported() -> None:
    """All of them were cancelled before the fetch failed."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: reported.append(about))
    flights, fetch = SingleFlight[str, int](), Fetch(ValueError("no"))
    waiter = asyncio.create_task(flights.run("a", fetch))
    await started(waiter)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    fetch.gate.set()
    await started(waiter)
    gc.collect()
    assert reported == []


async def test_close() -> None:
    """It cancels the fetches under way, and the callers that wait for them."""
    flights, fetch = SingleFlight[str, int](), Fetch()
    waiter = asyncio.create_task(flights.run("a", fetch))
    await started(waiter)
    await flights.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiter
