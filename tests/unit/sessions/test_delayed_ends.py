"""Sessions that end a moment later."""

import asyncio
import time

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.sessions import delayed_ends
from gateway.sessions.delayed_ends import DelayedEnds
from tests.fakes.ports import Diary, KnownSessions


@pytest.fixture
def diary() -> Diary:
    return []


@pytest.fixture
def sessions(diary: Diary) -> KnownSessions:
    return KnownSessions(diary, {"c": StoreUnavailable()})


async def test_a_session_ends_a_moment_later(diary: Diary, sessions: KnownSessions) -> None:
    """Once, however often it is asked for; its owner is not shown it meanwhile."""
    partings = DelayedEnds(sessions, after_s=0.05)
    begun_s = time.monotonic()
    for _ in range(3):
        await partings.end("a", "ada")
    assert ["take a off the list of ada"] == diary

    async with asyncio.timeout(5):
        while len(diary) == 1:
            await asyncio.sleep(0.005)

    assert 0.04 < time.monotonic() - begun_s
    await partings.aclose()
    assert ["take a off the list of ada", "end a of ada"] == diary


async def test_none_is_left_over(diary: Diary, sessions: KnownSessions) -> None:
    """Who closes does not wait."""
    partings = DelayedEnds(sessions, after_s=3600)
    await partings.end("a", "ada")
    await partings.end("b", "bob")

    await asyncio.wait_for(partings.aclose(), 5)

    assert ["end a of ada", "end b of bob"] == diary[2:]


async def test_a_store_that_is_away_keeps_nobody_from_closing(sessions: KnownSessions) -> None:
    """The session ends by itself."""
    partings = DelayedEnds(sessions, after_s=0)
    await partings.end("c", "carol")

    await asyncio.wait_for(partings.aclose(), 5)


async def test_too_many_at_a_time_end_at_once(
    diary: Diary, sessions: KnownSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They must not fill the memory."""
    monkeypatch.setattr(delayed_ends, "_MAX_WAITING", 1)
    partings = DelayedEnds(sessions, after_s=3600)
    await partings.end("a", "ada")
    await partings.end("b", "bob")

    assert ["take a off the list of ada", "end b of bob"] == diary
    await partings.aclose()
