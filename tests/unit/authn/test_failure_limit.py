"""Failed credentials have a bucket of their own."""

from ipaddress import ip_address

import pytest

from gateway.authn.failure_limit import DEFAULT_LIMIT, FailureLimit
from gateway.core.errors import (
    ExpiredToken,
    InvalidToken,
    RateLimited,
    Refusal,
    RevokedApiKey,
    RevokedToken,
)
from gateway.core.limit import Limit
from gateway.ratelimit.local import LocalLimiter
from gateway.routing.client_address import client_at

NOW_S = 1_800_000_000.0
TWO = Limit("failures", 2, 60)
CLIENT, OTHER = client_at(ip_address("203.0.113.9")), client_at(ip_address("203.0.113.10"))


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def bucket(clock: Clock) -> FailureLimit:
    """One that two failures empty."""
    return FailureLimit(LocalLimiter(clock), clock, TWO)


async def emptied(failures: FailureLimit) -> None:
    """Two failures of one client."""
    for _ in range(2):
        await failures.charge(CLIENT, InvalidToken())


async def test_a_failure_is_charged_until_nothing_is_left() -> None:
    """Each of them is answered as what it is, and the one too many as too many."""
    failures = bucket(Clock())
    await failures.charge(CLIENT, InvalidToken())
    failures.refuse_if_blocked(CLIENT)
    await failures.charge(CLIENT, InvalidToken())
    with pytest.raises(RateLimited, match="failures"):
        failures.refuse_if_blocked(CLIENT)
    with pytest.raises(RateLimited, match="failures"):
        await failures.charge(CLIENT, InvalidToken())


async def test_others_are_not_charged() -> None:
    """The bucket is one client's own."""
    failures = bucket(Clock())
    await emptied(failures)
    failures.refuse_if_blocked(OTHER)


@pytest.mark.parametrize("refusal", [ExpiredToken(), RevokedToken(), RevokedApiKey()])
async def test_what_was_good_is_free(refusal: Refusal) -> None:
    """Honest clients send one now and then."""
    failures = bucket(Clock())
    for _ in range(10):
        await failures.charge(CLIENT, refusal)
    failures.refuse_if_blocked(CLIENT)


async def test_who_is_shut_out_is_told_for_how_long() -> None:
    """The time runs, and then there is room for one more."""
    clock = Clock()
    failures = bucket(clock)
    await emptied(failures)
    with pytest.raises(RateLimited) as first:
        failures.refuse_if_blocked(CLIENT)
    wait_s = first.value.state.retry_after_s
    assert 0 < wait_s <= 2 * TWO.window_s
    clock.now_s += wait_s / 2
    with pytest.raises(RateLimited) as second:
        failures.refuse_if_blocked(CLIENT)
    assert wait_s / 2 == pytest.approx(second.value.state.retry_after_s)
    clock.now_s += wait_s / 2
    failures.refuse_if_blocked(CLIENT)
    assert 0 == len(failures.blocked_until)


async def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    """What was remembered by it is dropped."""
    clock = Clock()
    failures = bucket(clock)
    await emptied(failures)
    clock.now_s -= 86_400
    failures.refuse_if_blocked(CLIENT)


def test_the_usual_bucket() -> None:
    """Where the config says nothing, there is one all the same."""
    assert DEFAULT_LIMIT == FailureLimit(LocalLimiter(), Clock()).limit
