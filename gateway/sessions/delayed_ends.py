"""Delayed ends of renewed sessions: the old one stays valid briefly, for requests under way."""

import asyncio
from contextlib import suppress
from typing import Final

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Sessions

DELAY_S: Final = 10.0
"""Long enough for requests that a page sent before its browser had the new cookie."""

_MAX_WAITING = 10_000


class DelayedEnds:
    """Ends sessions after a delay; all that are left when this is closed."""

    def __init__(self, sessions: Sessions, after_s: float = DELAY_S) -> None:
        self._sessions = sessions
        self._after_s = after_s
        self._closing = asyncio.Event()
        self._waiting: dict[str, asyncio.Task[None]] = {}

    async def end(self, session_key: str, issuer: str) -> None:
        """
        End the session after the delay, or at once when 10 000 are waiting.

        Removes it from its owner's list at once. Raises `StoreUnavailable`.
        """
        if len(self._waiting) >= _MAX_WAITING:
            await self._sessions.end(session_key, issuer, reason="replaced")
        elif session_key not in self._waiting:
            task = asyncio.create_task(self._later(session_key, issuer))
            self._waiting[session_key] = task
            task.add_done_callback(lambda _: self._waiting.pop(session_key))
            await self._sessions.unlist(session_key, issuer)

    async def _later(self, session_key: str, issuer: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._after_s):
                await self._closing.wait()
        with suppress(StoreUnavailable):  # then it ends when it expires
            await self._sessions.end(session_key, issuer, reason="replaced")

    async def aclose(self) -> None:
        """End all waiting sessions now."""
        self._closing.set()
        await asyncio.gather(*self._waiting.values())
