"""Delayed ends of renewed sessions."""

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


async def test_a_session_ends_after_the_delay(diary: Diary, sessions: KnownSessions) -> None:
    """It ends once, and is off its owner's list at once."""
    partings = DelayedEnds(sessions, after_s=0.05)
    begun_s = time.monotonic()
    for _ in range(3):
        await partings.end("a", "ada")
    assert ["take a off the list of ada"] == diary

    async with asyncio.timeout(20):
        while len(diary) == 1:
            await asyncio.sleep(0.005)

    assert 0.04 < time.monotonic() - begun_s
    await partings.aclose()
    assert ["take a off the list of ada", "end a of ada"] == diary


async def test_closing_ends_all_waiting_sessions(diary: Diary, sessions: KnownSessions) -> None:
    """It does not wait for the delay."""
    partings = DelayedEnds(sessions, after_s=3600)
    await partings.end("a", "ada")
    await partings.end("b", "bob")

    await asyncio.wait_for(partings.aclose(), 20)

    assert ["end a of ada", "end b of bob"] == diary[2:]


async def test_closing_works_while_the_store_is_down(sessions: KnownSessions) -> None:
    """The session expires by itself."""
    partings = DelayedEnds(sessions, after_s=0)
    await partings.end("c", "carol")

    await asyncio.wait_for(partings.aclose(), 20)


async def test_too_many_at_a_time_end_at_once(
    diary: Diary, sessions: KnownSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory is bounded."""
    monkeypatch.setattr(delayed_ends, "_MAX_WAITING", 1)
    partings = DelayedEnds(sessions, after_s=3600)
    await partings.end("a", "ada")
    await partings.end("b", "bob")

    assert ["take a off the list of ada", "end b of bob"] == diary
    await partings.aclose()
