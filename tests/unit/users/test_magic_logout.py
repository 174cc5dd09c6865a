"""Signing people out at Magic, behind the requests' backs."""

import asyncio
from collections import Counter

import pytest

from gateway.core.errors import MagicUnavailable
from gateway.users import magic_logout
from gateway.users.magic_logout import AT_ONCE, MAX_WAITING, MagicLogout


class Magic:
    """Hears who signs out, when it is open."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.open = asyncio.Event()
        self.fails = False

    async def log_out(self, issuer: str) -> None:
        self.heard.append(issuer)
        await self.open.wait()
        if self.fails:
            raise MagicUnavailable


class Told:
    """Farewells, and what was counted of them."""

    def __init__(self) -> None:
        self.magic = Magic()
        self.outcomes: Counter[str] = Counter()
        self.farewells = MagicLogout(self.magic.log_out, self._count)

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    async def turns(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.mark.parametrize(("fails", "outcome"), [(False, "ok"), (True, "failed")])
async def test_magic_is_told_and_nobody_waits(fails: bool, outcome: str) -> None:
    """Whether it heard is counted, and that is all."""
    told = Told()
    told.magic.fails = fails
    told.farewells.queue("ada")
    assert [] == told.magic.heard
    await told.turns()
    assert ["ada"] == told.magic.heard
    told.magic.open.set()
    await told.farewells.aclose()
    assert {outcome: 1} == told.outcomes


async def test_few_are_told_at_a_time() -> None:
    """Who comes must not wait behind those who leave; who is waiting is told once."""
    told = Told()
    for number in range(10):
        told.farewells.queue(f"issuer {number}")
        told.farewells.queue(f"issuer {number}")
    await told.turns()
    assert AT_ONCE == len(told.magic.heard)
    told.magic.open.set()
    await told.farewells.aclose()
    assert 10 == len(told.magic.heard) == len(set(told.magic.heard))
    told.farewells.queue("issuer 0")
    await told.farewells.aclose()
    assert {"ok": 11} == told.outcomes


async def test_too_many_are_passed_over() -> None:
    """What waits is bounded."""
    told = Told()
    for number in range(MAX_WAITING + 3):
        told.farewells.queue(f"issuer {number}")
    assert {"dropped": 3} == told.outcomes
    told.magic.open.set()
    await told.farewells.aclose()
    assert {"dropped": 3, "ok": MAX_WAITING} == told.outcomes


async def test_the_end_of_the_process_does_not_wait_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is late is given up."""
    monkeypatch.setattr(magic_logout, "END_S", 0.01)
    told = Told()
    told.farewells.queue("ada")
    await told.farewells.aclose()
    assert {"failed": 1} == told.outcomes
    await told.farewells.aclose()
