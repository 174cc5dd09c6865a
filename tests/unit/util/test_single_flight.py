"""One call for many who ask the same at the same time."""

import asyncio
import gc

import pytest

from gateway.util.single_flight import SingleFlight


class Fetch:
    """Counts its calls; ends when ``gate`` opens, with ``error`` if there is one."""

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
    """Let all get to where they wait."""
    for _ in waiters:
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_one_call_for_all() -> None:
    """Who asks while a fetch is under way gets what it brings; who asks later starts a new one."""
    flights, fetch = SingleFlight[str, int](), Fetch()
    waiters = [asyncio.create_task(flights.run("a", fetch)) for _ in range(5)]
    await started(*waiters)
    fetch.gate.set()
    assert await asyncio.gather(*waiters) == [1] * 5
    assert await flights.run("a", fetch) == 2


async def test_keys_are_apart() -> None:
    """Different questions are different calls."""
    flights, fetch = SingleFlight[str, int](), Fetch()
    fetch.gate.set()
    await asyncio.gather(flights.run("a", fetch), flights.run("b", fetch))
    assert fetch.calls == 2


async def test_who_gives_up_takes_nobody_along() -> None:
    """The first to ask may be cancelled: the others get their answer."""
    flights, fetch = SingleFlight[str, int](), Fetch()
    waiters = [asyncio.create_task(flights.run("a", fetch)) for _ in range(3)]
    await started(*waiters)
    waiters[0].cancel()
    await asyncio.sleep(0)
    fetch.gate.set()
    assert await asyncio.gather(*waiters[1:]) == [1, 1]
    with pytest.raises(asyncio.CancelledError):
        await waiters[0]


async def test_a_failure_reaches_all_and_is_forgotten() -> None:
    """All who waited learn of it; the next one tries anew."""
    flights, fetch = SingleFlight[str, int](), Fetch(ValueError("no"))
    waiters = [asyncio.create_task(flights.run("a", fetch)) for _ in range(3)]
    await started(*waiters)
    fetch.gate.set()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert [ValueError] * 3 == [type(outcome) for outcome in outcomes]
    fetch.error = None
    assert await flights.run("a", fetch) == 2


async def test_a_failure_nobody_waits_for_is_silent() -> None:
    """Nothing is reported of a fetch that failed after all had given up."""
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
    """Closing ends what is under way, and those who wait for it."""
    flights, fetch = SingleFlight[str, int](), Fetch()
    waiter = asyncio.create_task(flights.run("a", fetch))
    await started(waiter)
    await flights.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiter
