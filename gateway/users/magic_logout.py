"""Logout at Magic: ends a user's sessions with Magic itself when they end here."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.core.errors import MagicUnavailable
from gateway.telemetry.metrics import LogoutOutcome

MAX_WAITING = 256
AT_ONCE = 4
"""Logouts under way at one time. The other calls to Magic stay free for look-ups."""
END_S = 2.0
"""How long logouts that are under way may take when the process ends."""


class MagicLogout:
    """
    Queues logouts at Magic and sends them in the background.

    Best effort: failures are counted, not retried. An issuer that is queued already is not queued
    again, and a logout is dropped when 256 are waiting.
    """

    def __init__(
        self, log_out: Callable[[str], Awaitable[None]], count: Callable[[LogoutOutcome], object]
    ) -> None:
        """Send by ``log_out``, which may raise `MagicUnavailable`; count outcomes by ``count``."""
        self._log_out = log_out
        self._count = count
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def queue(self, issuer: str) -> None:
        """Queue a logout at Magic; dropped when 256 are waiting."""
        if issuer in self._waiting:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._count("dropped")
            return
        task = asyncio.get_running_loop().create_task(self._run(issuer))
        self._waiting[issuer] = task
        task.add_done_callback(lambda _: self._waiting.pop(issuer, None))

    async def _run(self, issuer: str) -> None:
        outcome: LogoutOutcome = "failed"
        try:
            async with self._slots:
                await self._log_out(issuer)
            outcome = "ok"
        except MagicUnavailable:
            pass
        finally:
            self._count(outcome)

    async def aclose(self) -> None:
        """Wait for logouts that are under way, for `END_S` at most; cancel the others."""
        tasks = list(self._waiting.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=END_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
