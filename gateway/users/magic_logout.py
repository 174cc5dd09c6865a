"""Ends the sessions that people have with Magic itself, when they end here."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.core.errors import MagicUnavailable
from gateway.telemetry.metrics import LogoutOutcome

MAX_WAITING = 256
AT_ONCE = 4
"""So that many who leave take no turn from those who come: looking people up is more urgent."""
END_S = 2.0
"""What is under way at the end of the process gets so long."""


class MagicLogout:
    """
    Says goodbye to Magic behind the requests' backs.

    It is best effort: what Magic does not hear is counted, and nobody waits for it. Somebody who is
    already waiting is not told twice, and where too many wait the next is passed over.
    """

    def __init__(
        self, log_out: Callable[[str], Awaitable[None]], count: Callable[[LogoutOutcome], object]
    ) -> None:
        """``log_out`` raises `MagicUnavailable`. ``count`` is told each outcome."""
        self._log_out = log_out
        self._count = count
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def say(self, issuer: str) -> None:
        """Soon, or not at all."""
        if issuer in self._waiting:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._count("dropped")
            return
        task = asyncio.get_running_loop().create_task(self._say(issuer))
        self._waiting[issuer] = task
        task.add_done_callback(lambda _: self._waiting.pop(issuer, None))

    async def _say(self, issuer: str) -> None:
        outcome: LogoutOutcome = "failed"
        try:
            async with self._turns:
                await self._log_out(issuer)
            outcome = "ok"
        except MagicUnavailable:
            pass
        finally:
            self._count(outcome)

    async def aclose(self) -> None:
        """Wait for what is under way, but not for long."""
        tasks = list(self._waiting.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=END_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
