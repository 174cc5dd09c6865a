"""Sessions that end a moment later."""

import asyncio
import time

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions import parting
from gateway.sessions.parting import Partings


class Ends:
    """What was ended, in order."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str | None]] = []
        self.is_down = False

    async def end(self, session_key: str, issuer: str | None) -> None:
        if self.is_down:
            raise StoreUnavailable
        self.ended.append((session_key, issuer))


async def test_a_session_ends_a_moment_later() -> None:
    """Once, however often it is asked for."""
    ends = Ends()
    partings = Partings(ends.end, after_s=0.05)
    begun_s = time.monotonic()
    for _ in range(3):
        await partings.end("session:a", "ada")
    assert [] == ends.ended

    async with asyncio.timeout(5):
        while not ends.ended:
            await asyncio.sleep(0.005)

    assert 0.04 < time.monotonic() - begun_s
    await partings.aclose()
    assert [("session:a", "ada")] == ends.ended


async def test_none_is_left_over() -> None:
    """Who closes does not wait."""
    ends = Ends()
    partings = Partings(ends.end, after_s=3600)
    await partings.end("session:a", "ada")
    await partings.end("session:b", None)

    await asyncio.wait_for(partings.aclose(), 5)

    assert [("session:a", "ada"), ("session:b", None)] == ends.ended


async def test_a_store_that_is_away_keeps_nobody_from_closing() -> None:
    """The session ends by itself."""
    ends = Ends()
    ends.is_down = True
    partings = Partings(ends.end, after_s=0)
    await partings.end("session:a", "ada")

    await asyncio.wait_for(partings.aclose(), 5)

    assert [] == ends.ended


async def test_too_many_at_a_time_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """They must not fill the memory."""
    monkeypatch.setattr(parting, "_MAX_WAITING", 1)
    ends = Ends()
    partings = Partings(ends.end, after_s=3600)
    await partings.end("session:a", "ada")
    await partings.end("session:b", "bob")

    assert [("session:b", "bob")] == ends.ended
    await partings.aclose()
