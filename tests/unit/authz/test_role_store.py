"""Roles in the store: how long they are cached, and when they are unknown."""

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
        """Write the record, as an app does."""
        self.store.values[f"roles:{ISSUER}"] = record, NEVER_MS


async def test_roles_that_apps_write_are_read() -> None:
    """There are none where there is no record."""
    house = House()
    assert () == await house.roles.roles("did:ethr:0x2")
    house.write(b'["b", "a"]')
    assert ("a", "b") == await house.roles.roles(ISSUER)


async def test_roles_are_cached_for_a_second() -> None:
    """A session in use asks the store once a second, and a change counts within that."""
    house = House()
    house.write(b"a")
    assert ("a",) == await house.roles.roles(ISSUER)
    house.write(b"b")
    house.clock.now_s += 0.9
    assert ("a",) == await house.roles.roles(ISSUER)
    house.clock.now_s += 0.2
    assert ("b",) == await house.roles.roles(ISSUER)
    assert 2 == len(house.store.asked)


async def test_roles_that_were_prepared_are_there() -> None:
    """One look-up serves both; a failure is for the caller that asks."""
    house = House()
    house.write(b"a")
    for _ in range(2):
        house.roles.prepare(ISSUER)
        house.roles.prepare(ISSUER)
        assert ("a",) == await house.roles.roles(ISSUER)
    assert 1 == len(house.store.asked)

    house.clock.now_s += 2
    house.store.is_down = True
    house.roles.prepare(ISSUER)
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await house.roles.roles(ISSUER)


async def test_roles_of_one_moment_do_not_go_stale_in_one_moment() -> None:
    """The store is asked for some of them earlier, and for none later than after a second."""
    house = House()
    asked = []
    for after_s in (0, 0.74, 0.13, 0.13):
        house.clock.now_s += after_s
        before = len(house.store.asked)
        for number in range(100):
            await house.roles.roles(f"did:ethr:0x{number}")
        asked.append(len(house.store.asked) - before)

    assert [100, 0] == asked[:2]
    assert all(40 <= number <= 60 for number in asked[2:])


async def test_a_clock_that_was_set_back_ends_the_caching() -> None:
    """Roles that were read in the future are read again."""
    house = House()
    house.write(b"a")
    await house.roles.roles(ISSUER)
    house.write(b"b")
    house.clock.now_s -= 3600
    assert ("b",) == await house.roles.roles(ISSUER)


async def test_forget() -> None:
    """The next look-up asks the store."""
    house = House()
    house.write(b"a")
    await house.roles.roles(ISSUER)
    house.write(b"b")
    house.roles.forget(ISSUER)
    assert ("b",) == await house.roles.roles(ISSUER)


async def test_forget_all() -> None:
    """A gateway that may have missed invalidations reads all roles anew."""
    house = House()
    house.write(b"a")
    await house.roles.roles(ISSUER)
    house.write(b"b")
    house.roles.forget_all()
    assert ("b",) == await house.roles.roles(ISSUER)


async def test_a_look_up_under_way_is_not_cached_after_forget() -> None:
    """It may have read the old roles; later callers ask again."""
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


async def test_concurrent_look_ups_are_one_command() -> None:
    """A burst of one caller's requests asks the store once."""
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
    """Roles that were read before no longer count: unknown is neither none nor as before."""
    house = House()
    house.write(b"a")
    await house.roles.roles(ISSUER)
    house.clock.now_s += 2
    house.store.is_down = True
    with pytest.raises(StoreUnavailable, match=RolesReason.UNKNOWN):
        await house.roles.roles(ISSUER)


async def test_an_unreadable_record_leaves_roles_unknown() -> None:
    """It is not taken for an empty one."""
    house = House()
    house.write(b"{}")
    with pytest.raises(StoreUnavailable, match=RolesReason.UNREADABLE):
        await house.roles.roles(ISSUER)
