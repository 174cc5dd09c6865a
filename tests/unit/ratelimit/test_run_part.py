"""Parts of a run: what one call of a script charges, and how its reply is read."""

import asyncio

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit
from gateway.ratelimit.charge import Charge, Group
from gateway.ratelimit.ledger import Ledger
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.run_part import WRONG_WINDOW, ChargePart, tags_of
from tests.fakes.memory import FakeClock

NOW_MS = 1_800_000_000_000
LIMITS = [Limit("ten", 10, 60), Limit("five", 5, 60)]


@pytest.fixture
def ledger() -> Ledger:
    clock = FakeClock(NOW_MS / 1000)
    return Ledger(LocalLimiter(clock), clock, None)


def _group(limit: Limit, callers: str) -> Group:
    charges = [Charge((id(limit), caller), limit) for caller in callers]
    for charge in charges:
        charge.waiting.append(asyncio.get_running_loop().create_future())
    return Group(limit, charges)


async def test_each_charge_gets_its_numbers_of_the_reply(ledger: Ledger) -> None:
    """A group whose window was another is left for a second call."""
    ten, five = _group(LIMITS[0], "ab"), _group(LIMITS[1], "c")
    part = ChargePart("sliding-window", [ten, five])

    rest = part.hear([NOW_MS, 1, 4, 0, 0, 10, 0, WRONG_WINDOW, 0, 0], ledger)

    answers = [charge.waiting for charge in ten.charges]
    assert not answers[0] or answers[0][0].result().remaining == 6
    assert not answers[1][0].result().allowed
    assert rest is not None
    assert not five.charges[0].waiting[0].done()
    rest.hear([NOW_MS, 1, 1, 0], ledger)
    assert (True, 4) == five.charges[0].waiting[0].result()[1:3]


async def test_those_that_are_left_are_refused(ledger: Ledger) -> None:
    """None waits for ever; what was answered stays so."""
    group = _group(LIMITS[0], "ab")
    group.charges[0].waiting[0].cancel()
    ChargePart("sliding-window", [group]).leave_none()
    with pytest.raises(StoreUnavailable, match="not answered"):
        group.charges[1].waiting[0].result()
    assert ledger.learnt.find(group.charges[0].key) is None


@pytest.mark.parametrize(("caller", "tag"), [("a", "a"), ("ä", "ä"), ("\ud800", "\\ud800")])
def test_any_text_is_part_of_a_key(caller: str, tag: str) -> None:
    """What has no encoding is escaped."""
    assert [tag] == tags_of([caller])
