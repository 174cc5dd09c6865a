"""Limits with ``mode: shadow``."""

import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest

from gateway.core.limit import UNCHARGED, Limit, LimitState, Spend
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.shadow import (
    REPORT_EVERY_S,
    ExcessReport,
    ShadowLeases,
    ShadowLimiter,
    admitted,
)
from tests.fakes.ports import Diary, RecordingLeases, RecordingLimiter

NOW_S = 1_800_000_000.0
TWO = Limit("two", 2, 60, is_shadow=True)
ENFORCED = Limit("enforced", 3, 60)

Once = Callable[[ShadowLimiter, Limit], Awaitable[LimitState]]


def shadowed() -> tuple[ShadowLimiter, list[str]]:
    """Return a limiter at one moment, and the limits of which it reports an excess."""
    reported: list[str] = []
    limiter = LocalLimiter(lambda: NOW_S)
    return ShadowLimiter(limiter, lambda limit: reported.append(limit.name)), reported


async def _spend_now(limiter: ShadowLimiter, limit: Limit) -> LimitState:
    state = limiter.spend_now(limit, "a")
    assert state is not None
    return state


async def _spend(limiter: ShadowLimiter, limit: Limit) -> LimitState:
    return await limiter.spend(limit, "a")


async def _spend_all(limiter: ShadowLimiter, limit: Limit) -> LimitState:
    [state] = await limiter.spend_all([Spend(limit, "a")])
    return state


@pytest.mark.parametrize("once", [_spend_now, _spend, _spend_all])
@pytest.mark.parametrize(
    ("limit", "expected", "excesses"),
    [
        (TWO, [(True, 1), (True, 0), (True, UNCHARGED), (True, UNCHARGED)], ["two", "two"]),
        (ENFORCED, [(True, 2), (True, 1), (True, 0), (False, 0)], []),
    ],
)
async def test_a_shadow_limit_counts_and_never_refuses(
    once: Once, limit: Limit, expected: list[tuple[bool, int]], excesses: list[str]
) -> None:
    """What it would have refused is reported; a limit beside it refuses as ever."""
    limiter, reported = shadowed()
    states = [await once(limiter, limit) for _ in range(4)]
    assert expected == [(state.allowed, state.remaining) for state in states]
    assert excesses == reported


async def test_limits_charged_together_answer_in_their_order() -> None:
    """A shadow limit that is used up keeps none beside it from being charged."""
    limiter, reported = shadowed()
    spends = [Spend(TWO, "a"), Spend(ENFORCED, "a"), Spend(TWO, "b")]
    told = [await limiter.spend_all(spends) for _ in range(4)]
    assert [["two", "enforced", "two"]] * 4 == [[s.limit.name for s in row] for row in told]
    assert [True, True, True, False] == [row[1].allowed for row in told]
    assert all(row[0].allowed and row[2].allowed for row in told)
    assert ["two"] * 4 == reported


async def test_a_refusal_may_tell_of_those_alone_that_refuse() -> None:
    """The states of shadow limits come after it, and refuse nothing."""

    class Brief(LocalLimiter):
        async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
            return [LimitState(spends[-1].limit, False, 0, 1.0, 1.0)]

    reported: list[str] = []
    limiter = ShadowLimiter(Brief(), lambda limit: reported.append(limit.name))
    spends = [Spend(TWO, "a"), Spend(ENFORCED, "a"), Spend(ENFORCED, "b")]
    told = await limiter.spend_all(spends)
    assert [("enforced", False), ("two", True)] == [(s.limit.name, s.allowed) for s in told]
    assert ["two"] == reported


async def test_a_limiter_that_must_ask_is_asked() -> None:
    """None of `spend_now` stays None, so that the caller waits for `spend`."""
    limiter = ShadowLimiter(RecordingLimiter([], waits=["two"]), lambda _: None)
    assert limiter.spend_now(TWO, "a") is None


async def test_charging_several_at_once_waits_for_a_shadow_limit() -> None:
    """Others are charged without a wait, where the limiter behind can."""
    limiter, _ = shadowed()
    states = limiter.spend_all_now([Spend(ENFORCED, "a"), Spend(ENFORCED, "b")])
    assert states is not None
    assert [2, 2] == [state.remaining for state in states]
    assert limiter.spend_all_now([Spend(ENFORCED, "a"), Spend(TWO, "a")]) is None
    assert 1 == (await limiter.spend(ENFORCED, "a")).remaining


async def test_costs_are_settled_with_the_limiter_behind() -> None:
    """What an answer cost more is charged to a shadow limit, too."""
    limiter, _ = shadowed()
    await limiter.settle(Spend(TWO, "a", 1))
    assert 0 == (await limiter.spend(TWO, "a")).remaining


@pytest.mark.parametrize(
    ("is_shadow", "used_up", "allowed", "excesses"),
    [
        (True, "two", True, ["two"]),
        (True, "", True, []),
        (False, "two", False, []),
    ],
)
async def test_requests_over_a_shadow_limit_are_under_way_without_a_lease(
    is_shadow: bool, used_up: str, allowed: bool, excesses: list[str]
) -> None:
    """Each is reported; a limit that refuses does so as ever, and reports none."""
    diary: Diary = []
    reported: list[str] = []
    leases = ShadowLeases(
        RecordingLeases(diary, {used_up}), lambda limit: reported.append(limit.name)
    )
    limit = Limit("two", 2, 60, algorithm="concurrency", is_shadow=is_shadow)
    lease = await leases.take(limit, "a")
    assert (allowed, limit) == (lease.state.allowed, lease.state.limit)
    assert excesses == reported


def test_the_answer_to_an_excess_asks_for_no_wait() -> None:
    """It is allowed, and was not charged."""
    refused = LimitState(TWO, False, 0, 12.0, 3.0)
    assert LimitState(TWO, True, UNCHARGED, 12.0, 0.0) == admitted(refused)


def test_excesses_are_counted_each_and_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The line says how many there were since the last one, and names no caller."""
    now_s = [NOW_S]
    counted: list[str] = []
    report = ExcessReport(counted.append, lambda: now_s[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            report.note(TWO)
        now_s[0] += REPORT_EVERY_S
        report.note(TWO)
        now_s[0] -= 2 * REPORT_EVERY_S  # the clock was set back
        report.note(TWO)
    assert ["two"] * 5 == counted
    line = "limit two (mode: shadow) would have refused %d requests"
    assert [line % 1, line % 3, line % 1] == caplog.messages
