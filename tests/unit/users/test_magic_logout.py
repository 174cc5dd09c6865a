"""Logouts at Magic, in the background."""

import asyncio
from collections import Counter

import pytest

from gateway.core.errors import MagicUnavailable
from gateway.users import magic_logout
from gateway.users.magic_logout import AT_ONCE, MAX_WAITING, MagicLogout


class Magic:
    """Records logouts, while it is open."""

    def __init__(self) -> None:
        self.logged_out: list[str] = []
        self.open = asyncio.Event()
        self.fails = False

    async def log_out(self, issuer: str) -> None:
        self.logged_out.append(issuer)
        await self.open.wait()
        if self.fails:
            raise MagicUnavailable


class LogoutUnderTest:
    """A `MagicLogout` under test, and its counts."""

    def __init__(self) -> None:
        self.magic = Magic()
        self.outcomes: Counter[str] = Counter()
        self.magic_logout = MagicLogout(self.magic.log_out, self._count)

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    async def turns(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.mark.parametrize(("fails", "outcome"), [(False, "ok"), (True, "failed")])
async def test_a_logout_is_sent_in_the_background(fails: bool, outcome: str) -> None:
    """Its outcome is counted."""
    under_test = LogoutUnderTest()
    under_test.magic.fails = fails
    under_test.magic_logout.queue("ada")
    assert [] == under_test.magic.logged_out
    await under_test.turns()
    assert ["ada"] == under_test.magic.logged_out
    under_test.magic.open.set()
    await under_test.magic_logout.aclose()
    assert {outcome: 1} == under_test.outcomes


async def test_few_logouts_are_under_way_at_a_time() -> None:
    """An issuer that is queued is not queued again."""
    under_test = LogoutUnderTest()
    for number in range(10):
        under_test.magic_logout.queue(f"issuer {number}")
        under_test.magic_logout.queue(f"issuer {number}")
    await under_test.turns()
    assert AT_ONCE == len(under_test.magic.logged_out)
    under_test.magic.open.set()
    await under_test.magic_logout.aclose()
    assert 10 == len(under_test.magic.logged_out) == len(set(under_test.magic.logged_out))
    under_test.magic_logout.queue("issuer 0")
    await under_test.magic_logout.aclose()
    assert {"ok": 11} == under_test.outcomes


async def test_logouts_are_dropped_when_the_queue_is_full() -> None:
    """What waits is bounded."""
    under_test = LogoutUnderTest()
    for number in range(MAX_WAITING + 3):
        under_test.magic_logout.queue(f"issuer {number}")
    assert {"dropped": 3} == under_test.outcomes
    under_test.magic.open.set()
    await under_test.magic_logout.aclose()
    assert {"dropped": 3, "ok": MAX_WAITING} == under_test.outcomes


async def test_closing_waits_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Late logouts are cancelled."""
    monkeypatch.setattr(magic_logout, "END_S", 0.01)
    under_test = LogoutUnderTest()
    under_test.magic_logout.queue("ada")
    await under_test.magic_logout.aclose()
    assert {"failed": 1} == under_test.outcomes
    await under_test.magic_logout.aclose()
