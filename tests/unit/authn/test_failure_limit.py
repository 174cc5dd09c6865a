"""The rate limit on failed authentication."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.authn.failure_limit import DEFAULT_LIMIT, FailureLimit
from gateway.core.errors import (
    DeniedByLimit,
    ExpiredToken,
    InvalidToken,
    RateLimited,
    Refusal,
    RevokedApiKey,
    RevokedToken,
)
from gateway.core.limit import Limit
from gateway.ratelimit.entry import read_entry
from gateway.ratelimit.lists import ListKind
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.matcher import Matcher
from gateway.ratelimit.shadow import ShadowLimiter
from gateway.routing.client_address import client_at

NOW_S = 1_800_000_000.0
TWO = Limit("failures", 2, 60)
CLIENT, OTHER = client_at(ip_address("203.0.113.9")), client_at(ip_address("203.0.113.10"))


class Clock:
    """A clock that stands still until it is set."""

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


async def test_failures_are_charged_until_the_limit_is_used_up() -> None:
    """Each is answered by its own refusal, the next as rate limited."""
    failures = bucket(Clock())
    await failures.charge(CLIENT, InvalidToken())
    failures.refuse_if_blocked(CLIENT)
    await failures.charge(CLIENT, InvalidToken())
    assert 0 == failures.counts.refused
    with pytest.raises(RateLimited, match="failures"):
        failures.refuse_if_blocked(CLIENT)
    assert 1 == failures.counts.refused  # no limiter is asked, which would count it
    with pytest.raises(RateLimited, match="failures"):
        await failures.charge(CLIENT, InvalidToken())


async def test_failures_that_were_set_back_block_no_client() -> None:
    """Those of that limit and client; the message names both."""
    failures = bucket(Clock())
    await emptied(failures)
    failures.forget(f"other {CLIENT.limit_key}")
    failures.forget(f"failures {OTHER.limit_key}")
    with pytest.raises(RateLimited):
        failures.refuse_if_blocked(CLIENT)
    failures.forget(f"failures {CLIENT.limit_key}")
    failures.refuse_if_blocked(CLIENT)


async def test_a_client_on_the_deny_list_has_no_credential_checked() -> None:
    """Another one has."""
    failures = bucket(Clock())
    failures.lists.put("failures", ListKind.DENY, "config", Matcher([read_entry("203.0.113.9")]))
    with pytest.raises(DeniedByLimit):
        failures.refuse_if_blocked(CLIENT)
    failures.refuse_if_blocked(OTHER)


async def test_a_client_on_the_allow_list_is_not_charged() -> None:
    """However often it fails; another one is."""
    failures = bucket(Clock())
    failures.lists.put("failures", ListKind.ALLOW, "config", Matcher([read_entry("203.0.113.9")]))
    for _ in range(3):
        await failures.charge(CLIENT, InvalidToken())
        failures.refuse_if_blocked(CLIENT)
    for _ in range(2):
        await failures.charge(OTHER, InvalidToken())
    with pytest.raises(RateLimited, match="failures"):
        failures.refuse_if_blocked(OTHER)


async def test_a_shadow_limit_blocks_no_client() -> None:
    """Failures over it are reported, and their clients go on."""
    reported: list[str] = []
    limiter = ShadowLimiter(LocalLimiter(Clock()), lambda limit: reported.append(limit.name))
    failures = FailureLimit(limiter, Clock(), replace(TWO, is_shadow=True))
    for _ in range(3):
        await failures.charge(CLIENT, InvalidToken())
        failures.refuse_if_blocked(CLIENT)
    assert ["failures"] == reported


async def test_others_are_not_charged() -> None:
    """Each client has its own count."""
    failures = bucket(Clock())
    await emptied(failures)
    failures.refuse_if_blocked(OTHER)


@pytest.mark.parametrize("refusal", [ExpiredToken(), RevokedToken(), RevokedApiKey()])
async def test_expired_and_revoked_credentials_are_not_charged(refusal: Refusal) -> None:
    """Honest clients send one now and then."""
    failures = bucket(Clock())
    for _ in range(10):
        await failures.charge(CLIENT, refusal)
    failures.refuse_if_blocked(CLIENT)


async def test_a_blocked_client_is_told_for_how_long() -> None:
    """The time counts down, and then there is room for one more."""
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


async def test_a_clock_that_is_set_back_ends_blocks() -> None:
    """A block that seems too long is dropped."""
    clock = Clock()
    failures = bucket(clock)
    await emptied(failures)
    clock.now_s -= 86_400
    failures.refuse_if_blocked(CLIENT)


def test_there_is_a_default_limit() -> None:
    """It applies where the config defines none."""
    assert DEFAULT_LIMIT == FailureLimit(LocalLimiter(), Clock()).limit
