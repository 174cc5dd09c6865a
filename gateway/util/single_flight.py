"""One shared call for callers that ask for the same key at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """
    Shares each fetch of a key among all callers that ask for it meanwhile.

    A caller that is cancelled does not cancel the fetch. A failure reaches all callers that wait,
    and is not remembered.
    """

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}

    async def run(self, key: K, fetch: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return the result of the fetch of ``key`` under way, or of a new one."""
        return await asyncio.shield(self.begin(key, fetch))

    def begin(self, key: K, fetch: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Task[V]:
        """Return the fetch of ``key`` under way, or a new one, without waiting for it."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(fetch())
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._finish(key, done))
        return flight

    async def aclose(self) -> None:
        """Cancel all fetches under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _finish(self, key: K, flight: "asyncio.Task[V]") -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # retrieved, as all callers may have been cancelled
