"""Roles in the store: how long they are believed, and what unknown means."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.authz.role_store import RedisRoleStore
from gateway.core.errors import StoreUnavailable
from gateway.core.reasons import RolesReason
from tests.fakes.memory import FakeClock
from tests.fakes.store import FakeStore, Word

ISSUER = "did:ethr:0x1"
NEVER_MS = 2**53


class House:
    """Roles over a store in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock, {"read": self._read})
        self.roles = RedisRoleStore(self.store, clock=self.clock)

    def _read(self, keys: Sequence[str], _: Sequence[Word]) -> bytes | None:
        return self.store.values.get(keys[0], (None, 0))[0]

    def write(self, record: bytes) -> None:
        """What an app does."""
        self.store.values[f"roles:{ISSUER}"] = record, NEVER_MS


async def test_what_apps_write_is_read() -> None:
    """None where there is no record."""
    house = House()
    assert () == await house.roles.roles("did:ethr:0x2")
    house.write(b'["b", "a"]')
    assert ("a", "b") == await house.roles.roles(ISSUER)


async def test_roles_are_believed_for_a_second() -> None:
    """A hot session asks the store once a second, and a change is obeyed within that."""
    house = House()
    house.write(b"a")
    assert ("a",) == await house.roles.roles(ISSUER)
    house.write(b"b")
    house.clock.now_s += 0.9
    assert ("a",) == await house.roles.roles(ISSUER)
    house.clock.now_s += 0.2
    assert ("b",) == await house.roles.roles(ISSUER)
    assert 2 == len(house.store.asked)


async def test_a_clock_that_was_set_back_prolongs_nothing() -> None:
    """What was read in the future is asked for again."""
    house = House()
    house.write(b"a")
    await house.roles.roles(ISSUER)
    house.write(b"b")
    house.clock.now_s -= 3600
    assert ("b",) == await house.roles.roles(ISSUER)


async def test_what_is_told_to_be_forgotten_is() -> None:
    """At once."""
    house = House()
    house.write(b"a")
    await house.roles.roles(ISSUER)
    house.write(b"b")
    house.roles.forget(ISSUER)
    assert ("b",) == await house.roles.roles(ISSUER)


async def test_whoever_may_have_missed_something_forgets_everybody() -> None:
    """A gateway whose ear was closed for a while asks anew."""
    house = House()
    house.write(b"a")
    await house.roles.roles(ISSUER)
    house.write(b"b")
    house.roles.forget_all()
    assert ("b",) == await house.roles.roles(ISSUER)


async def test_an_answer_that_is_on_its_way_is_not_kept() -> None:
    """It may be what was to be forgotten; who asks afterwards asks anew."""
    house = House()
    house.write(b"a")
    house.store.gate.clear()
    before = asyncio.create_task(house.roles.roles(ISSUER))
    while not house.store.asked:
        await asyncio.sleep(0)
    house.write(b"b")
    house.roles.forget(ISSUER)
    after = asyncio.create_task(house.roles.roles(ISSUER))
    await asyncio.sleep(0)
    house.store.gate.set()
    assert [("a",), ("b",)] == [await before, await after]
    assert ("b",) == await house.roles.roles(ISSUER)


async def test_many_who_ask_at_once_are_one() -> None:
    """A burst of one caller's requests is one command."""
    house = House()
    house.write(b"a")
    house.store.gate.clear()
    asking = [asyncio.create_task(house.roles.roles(ISSUER)) for _ in range(5)]
    await asyncio.sleep(0)
    house.store.gate.set()
    assert [("a",)] * 5 == await asyncio.gather(*asking)
    assert 1 == len(house.store.asked)
    await house.roles.aclose()


async def test_a_store_that_is_down_leaves_roles_unknown() -> None:
    """What was known before is no longer believed: unknown is neither none nor as before."""
    house = House()
    house.write(b"a")
    await house.roles.roles(ISSUER)
    house.clock.now_s += 2
    house.store.is_down = True
    with pytest.raises(StoreUnavailable, match=RolesReason.UNKNOWN):
        await house.roles.roles(ISSUER)


async def test_a_record_that_cannot_be_read_leaves_roles_unknown() -> None:
    """It is not taken for an empty one."""
    house = House()
    house.write(b"{}")
    with pytest.raises(StoreUnavailable, match=RolesReason.UNREADABLE):
        await house.roles.roles(ISSUER)
