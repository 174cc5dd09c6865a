"""Brings events from the outbox to the endpoints, for as long as a config serves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from gateway.core.errors import StoreUnavailable
from gateway.hooks.delivery import POLL_S, Deliveries
from gateway.hooks.fan_out import FanOut
from gateway.hooks.outbox import SOON_S, Outbox

SWEEP_S: Final = 30.0
"""How often events are looked for that another gateway has left in outboxes of persons."""
LAST_S: Final = 1.0
"""Time after the drain for attempts that are under way: the process has little to close all."""

_log = logging.getLogger(__name__)


class Courier:
    """Hands events on and delivers them: where it is woken, else when it polls."""

    def __init__(
        self,
        outbox: Outbox,
        fan_out: FanOut,
        deliveries: Sequence[Deliveries],
        poll_s: float = POLL_S,
    ) -> None:
        self._outbox = outbox
        self._fan_out = fan_out
        self._deliveries = deliveries
        self._poll_s = poll_s
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._successor: Courier | None = None
        """That of the next config."""
        self._due: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[object] | None = None

    def start(self) -> None:
        """Begin, unless there is no endpoint; the second call does nothing."""
        if self._deliveries and self._running is None and not self._is_stopping:
            self._running = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Look into the outbox at once: something was recorded that is waited for."""
        self._woken.set()
        if self._successor is not None:
            self._successor.wake()

    def wake_soon(self) -> None:
        """Look into the outbox in a moment: no request is slower for what it has recorded."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(SOON_S, self._wake_now)

    def wake_all(self) -> None:
        """Look into the outbox and all queues at once: a command has written there."""
        self.wake()
        for each in self._deliveries:
            each.wake()

    def _wake_now(self) -> None:
        self._due = None
        self.wake()

    def stop(self) -> None:
        """Begin nothing more; attempts that are under way go on."""
        self._is_stopping = True
        self.wake()
        for each in self._deliveries:
            each.stop()

    def hand_over(self, to: "Courier") -> None:
        """Stop; ``to`` is woken for what exchanges that are under way record."""
        self.stop()
        self._successor = to

    async def aclose(self) -> None:
        """Stop, and wait for attempts that are under way: each has a time-out."""
        self.stop()
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    def end_soon(self, within_s: float) -> None:
        """Stop, and cut attempts off that are under way then: they come again as leases end."""
        self.stop()
        if self._running is not None:
            asyncio.get_running_loop().call_later(within_s, self._running.cancel)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for each in self._deliveries:
                tasks.create_task(self._kept_up(partial(each.run, self._poll_s)))
            tasks.create_task(self._kept_up(self._hand_on))

    async def _kept_up(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` until it is over; begin again after an error, which is a bug."""
        while True:
            try:
                return await work()
            except Exception:  # noqa: BLE001 (it would end all deliveries of this process, unseen)
                _log.exception("deliveries were interrupted, and go on")
                await self._wait()

    async def _hand_on(self) -> None:
        loop = asyncio.get_running_loop()
        swept_s = loop.time()
        while not self._is_stopping:
            self._woken.clear()
            try:
                is_more = await self._fan_out.step()
                if loop.time() - swept_s >= SWEEP_S:
                    swept_s = loop.time()
                    await self._outbox.sweep()
            except StoreUnavailable:
                is_more = False
            if not is_more:
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s):
                await self._woken.wait()
        except TimeoutError:
            pass
