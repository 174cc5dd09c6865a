"""Which tunnels end when, and what is counted."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from gateway.proxy.tunnel.registry import (
    CLOSED,
    DRAINED,
    EXPIRED,
    IDLE,
    REVOKED,
    ProofLookup,
    TunnelEnd,
    TunnelRegistry,
)
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import TUNNELS, TUNNELS_ENDED
from tests.fakes.memory import FakeClock

NOW_MS = 1_800_000_000_000


@dataclass(eq=False)
class FakeTunnel:
    """Records how it was ended, and when it was checked."""

    session_key: str | None = None
    expires_at_ms: int | None = None
    issuer: str | None = None
    proven_at_ms: int = NOW_MS
    endings: list[TunnelEnd] = field(default_factory=list)
    looks: int = 0

    def check_idle(self, _: float) -> None:
        self.looks += 1

    def end(self, ending: TunnelEnd) -> None:
        self.endings.append(ending)


class SomeEnded:
    """Knows that these sessions are no more; writes down what it is asked."""

    def __init__(self, *gone: str) -> None:
        self.diary: list[Sequence[str]] = []
        self.gone = frozenset(gone)
        self.revoked: dict[str, int] = {}
        self.asked_issuers: list[Sequence[str]] = []
        self.is_broken = False

    @property
    def truth(self) -> ProofLookup:
        """It, as the registry asks it."""
        return ProofLookup(self._ended, self._epochs_ms)

    async def _ended(self, session_keys: Sequence[str]) -> frozenset[str]:
        self.diary.append(session_keys)
        if self.is_broken:
            raise RuntimeError
        return self.gone & frozenset(session_keys)

    async def _epochs_ms(self, issuers: Sequence[str]) -> Mapping[str, int]:
        self.asked_issuers.append(issuers)
        return {issuer: epoch for issuer, epoch in self.revoked.items() if issuer in issuers}


@pytest.fixture
def clock() -> FakeClock:
    """At `NOW_MS`."""
    return FakeClock()


@pytest.fixture
def counters() -> Counters:
    """Of the registry."""
    return Counters()


@pytest.fixture
async def tunnels(clock: FakeClock, counters: Counters) -> TunnelRegistry:
    """A registry."""
    return TunnelRegistry(asyncio.get_running_loop(), clock, counters)


async def test_all_are_counted(tunnels: TunnelRegistry, counters: Counters) -> None:
    """Once when they open, once when they end, by why."""
    opened = [FakeTunnel("session:1"), FakeTunnel("session:1"), FakeTunnel()]
    for tunnel in opened:
        tunnels.add(tunnel)
    for tunnel, ending in zip(opened, (CLOSED, IDLE, CLOSED), strict=True):
        tunnels.forget(tunnel, ending)

    expected = {(TUNNELS, ""): 3, (TUNNELS_ENDED, "closed"): 2, (TUNNELS_ENDED, "idle"): 1}
    assert expected == counters.counts
    assert 0 == len(tunnels)


async def test_a_session_takes_its_tunnels_along(tunnels: TunnelRegistry) -> None:
    """All of them, and no others."""
    mine, mine_too, other = FakeTunnel("session:1"), FakeTunnel("session:1"), FakeTunnel("other")
    for tunnel in (mine, mine_too, other):
        tunnels.add(tunnel)

    tunnels.end_session("session:1")
    tunnels.end_session("session:unknown")

    assert [[REVOKED], [REVOKED], []] == [t.endings for t in (mine, mine_too, other)]


async def test_the_store_is_asked_for_each_session_once(tunnels: TunnelRegistry) -> None:
    """In one question for them all; who is gone there is ended here."""
    gone, gone_too, living = FakeTunnel("session:1"), FakeTunnel("session:1"), FakeTunnel("s:2")
    for tunnel in (gone, gone_too, living, FakeTunnel()):
        tunnels.add(tunnel)
    sessions = SomeEnded("session:1")

    await tunnels.check(sessions.truth)

    assert [("session:1", "s:2")] == sessions.diary
    assert [[REVOKED], [REVOKED], []] == [t.endings for t in (gone, gone_too, living)]


async def test_thousands_of_sessions_are_asked_for_in_parts(tunnels: TunnelRegistry) -> None:
    """No answer is so long that others wait for it."""
    for number in range(1200):
        tunnels.add(FakeTunnel(f"session:{number}"))
    sessions = SomeEnded()

    await tunnels.check(sessions.truth)

    assert [500, 500, 200] == [len(asked) for asked in sessions.diary]


async def test_a_tunnel_ends_with_what_proved_its_owner(
    tunnels: TunnelRegistry, clock: FakeClock
) -> None:
    """Not before, and not much later; one that needed no proof goes on."""
    bearer, anonymous = FakeTunnel(expires_at_ms=NOW_MS + 1000), FakeTunnel()
    tunnels.add(bearer)
    tunnels.add(anonymous)

    await tunnels.check(SomeEnded().truth)
    assert ([], 1) == (bearer.endings, bearer.looks)

    clock.now_s += 1
    await tunnels.check(SomeEnded().truth)
    assert ([EXPIRED], []) == (bearer.endings, anonymous.endings)


async def test_watching_survives_a_fault(tunnels: TunnelRegistry) -> None:
    """An error does not prevent the next check."""
    sessions = SomeEnded("session:1")
    sessions.is_broken = True
    tunnel = FakeTunnel("session:1")
    tunnels.add(tunnel)
    watching = asyncio.create_task(tunnels.watch(sessions.truth, 0.001))
    async with asyncio.timeout(20):
        while not sessions.diary:
            await asyncio.sleep(0)
        sessions.is_broken = False
        while not tunnel.endings:
            await asyncio.sleep(0)
    watching.cancel()
    assert [REVOKED] == tunnel.endings[:1]


# --- what others say is over --------------------------------------------------------------------


@pytest.fixture
async def sessions(tunnels: TunnelRegistry) -> AsyncIterator[SomeEnded]:
    """A registry that rechecks on request, without periodic checks."""
    sessions = SomeEnded()
    settling = asyncio.create_task(tunnels.recheck_pending(sessions.truth))
    yield sessions
    settling.cancel()


async def _turns() -> None:
    """Let all that can happen happen."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_session_that_is_said_to_have_ended_is_asked_for(
    tunnels: TunnelRegistry, sessions: SomeEnded
) -> None:
    """At once, but only if the store confirms it: the message itself is not trusted."""
    mine, other = FakeTunnel("session:1"), FakeTunnel("session:2")
    tunnels.add(mine)
    tunnels.add(other)
    await _turns()
    sessions.diary.clear()
    sessions.gone = frozenset({"session:1"})

    for key in ("session:1", "session:2", "session:1", "session:without-a-tunnel"):
        tunnels.recheck_session(key)
    await _turns()

    assert [{"session:1", "session:2"}] == [set(asked) for asked in sessions.diary]
    assert [[REVOKED], []] == [mine.endings, other.endings]


async def test_an_issuer_that_is_said_to_be_revoked_is_asked_for(
    tunnels: TunnelRegistry, sessions: SomeEnded
) -> None:
    """Tunnels authenticated up to the epoch end, with any credential; later ones go on."""
    old, new, other = (
        FakeTunnel("session:1", issuer="ada"),
        FakeTunnel(issuer="ada", proven_at_ms=NOW_MS + 1),
        FakeTunnel("session:2", issuer="bob"),
    )
    for tunnel in (old, new, other):
        tunnels.add(tunnel)
    await _turns()
    sessions.asked_issuers.clear()
    sessions.revoked = {"ada": NOW_MS, "bob": NOW_MS}

    tunnels.recheck_issuer("ada")
    tunnels.recheck_issuer("issuer without a tunnel")
    await _turns()

    assert [("ada",)] == sessions.asked_issuers
    assert [[REVOKED], [], []] == [tunnel.endings for tunnel in (old, new, other)]


async def test_what_was_revoked_while_it_was_opened_ends(
    tunnels: TunnelRegistry, sessions: SomeEnded
) -> None:
    """The app takes its time to answer, and the word came before there was anything to end."""
    sessions.gone, sessions.revoked = frozenset({"session:1"}), {"ada": NOW_MS}
    by_session, by_token = FakeTunnel("session:1"), FakeTunnel(issuer="ada")
    tunnels.add(by_session)
    tunnels.add(by_token)
    await _turns()

    assert [[REVOKED], [REVOKED]] == [by_session.endings, by_token.endings]


async def test_where_messages_were_missed_all_are_asked_for(
    tunnels: TunnelRegistry, sessions: SomeEnded
) -> None:
    """Sessions and issuers; once each."""
    tunnels.add(FakeTunnel("session:1", issuer="ada"))
    tunnels.add(FakeTunnel(issuer="bob"))
    await _turns()
    sessions.diary.clear()
    sessions.asked_issuers.clear()

    tunnels.recheck_all()
    await _turns()

    assert [("session:1",)] == sessions.diary
    assert {"ada", "bob"} == set(sessions.asked_issuers[0])


async def test_a_failed_recheck_does_not_end_the_rechecks(
    tunnels: TunnelRegistry, sessions: SomeEnded
) -> None:
    """The next one is asked about."""
    tunnel = FakeTunnel("session:1")
    tunnels.add(tunnel)
    sessions.gone, sessions.is_broken = frozenset({"session:1"}), True
    tunnels.recheck_session("session:1")
    await _turns()
    assert [] == tunnel.endings

    sessions.is_broken = False
    tunnels.recheck_session("session:1")
    await _turns()
    assert [REVOKED] == tunnel.endings


async def test_revoked_issuers_are_found_without_a_word(tunnels: TunnelRegistry) -> None:
    """By every fifth check: a message may be lost."""
    sessions = SomeEnded()
    old = FakeTunnel(issuer="ada")
    tunnels.add(old)
    for _ in range(5):
        await tunnels.check(sessions.truth)
    assert [("ada",)] == sessions.asked_issuers

    sessions.revoked = {"ada": NOW_MS}
    await tunnels.check(sessions.truth)
    assert [REVOKED] == old.endings
    tunnels.forget(old, REVOKED)
    for _ in range(5):
        await tunnels.check(sessions.truth)
    assert 2 == len(sessions.asked_issuers)


# --- the end of all -----------------------------------------------------------------------------


async def test_draining_ends_them_one_by_one(tunnels: TunnelRegistry) -> None:
    """The first at once, the last in time; one that opens meanwhile is ended too."""
    opened = [FakeTunnel() for _ in range(4)]
    for tunnel in opened:
        tunnels.add(tunnel)
    draining = asyncio.create_task(tunnels.drain(0.2))
    await asyncio.sleep(0)
    assert [1, 0, 0, 0] == [len(tunnel.endings) for tunnel in sorted(opened, key=_is_open)]

    late = FakeTunnel()
    tunnels.add(late)
    await draining
    assert all(tunnel.endings == [DRAINED] for tunnel in (*opened, late))


async def test_all_can_be_ended_at_once(tunnels: TunnelRegistry) -> None:
    """Where there is no time to drain."""
    opened = [FakeTunnel("session:1"), FakeTunnel()]
    for tunnel in opened:
        tunnels.add(tunnel)
    tunnels.end_all()
    assert [[DRAINED], [DRAINED]] == [tunnel.endings for tunnel in opened]


def _is_open(tunnel: FakeTunnel) -> bool:
    return not tunnel.endings
