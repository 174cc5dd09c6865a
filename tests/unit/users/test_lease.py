"""The lease on a question to Magic."""

import asyncio

import pytest

from gateway.core.identity import User
from gateway.users.lease import LEASE_S, Lease
from gateway.users.metadata import Record
from gateway.users.records import UserRecords
from tests.fakes.memory import FakeClock, MemoryStore
from tests.fakes.tokens import ALICE

KEY = f"asking:{ALICE.issuer}"
RECORD = Record(User(ALICE.issuer, "alice@example.com"), 1_800_000_000_000)


class Gateways:
    """Makes leases that share a store; waiting moves the clock."""

    def __init__(self, store: MemoryStore, clock: FakeClock) -> None:
        self.records = UserRecords(store, [b"k" * 32])
        self._clock = clock
        self.slept_s: list[float] = []

    def another(self) -> Lease:
        return Lease(self.records, self._clock, self._sleep)

    async def _sleep(self, length_s: float) -> None:
        self.slept_s.append(length_s)
        self._clock.now_s += length_s
        await asyncio.sleep(0)


@pytest.fixture
def gateways(store: MemoryStore, clock: FakeClock) -> Gateways:
    return Gateways(store, clock)


async def test_one_of_two_gateways_gets_the_lease(gateways: Gateways) -> None:
    """The other gets it when it is given back."""
    first, second = gateways.another(), gateways.another()
    assert await first.take(ALICE.issuer)
    assert not await second.take(ALICE.issuer)
    await second.release(ALICE.issuer)
    assert not await second.take(ALICE.issuer)
    await first.release(ALICE.issuer)
    assert await second.take(ALICE.issuer)


async def test_a_gateway_does_not_wait_for_itself(gateways: Gateways, store: MemoryStore) -> None:
    """What it learnt before may never have been written."""
    lease = gateways.another()
    assert await lease.take(ALICE.issuer)
    assert await lease.take(ALICE.issuer)
    await lease.release(ALICE.issuer)
    assert KEY not in store.values


async def test_the_others_wait_for_the_record(gateways: Gateways, clock: FakeClock) -> None:
    """They look for it more and more rarely."""
    holder, other = gateways.another(), gateways.another()
    await holder.take(ALICE.issuer)
    waiting = asyncio.create_task(other.result(ALICE.issuer))
    while len(gateways.slept_s) < 4:
        await asyncio.sleep(0)
    assert not waiting.done()
    await gateways.records.keep(RECORD, int(clock() + 60) * 1000)
    assert RECORD == await waiting
    assert [0.02, 0.04, 0.08, 0.16] == gateways.slept_s[:4]


async def test_without_a_holder_the_others_stop_waiting(gateways: Gateways) -> None:
    """Magic did not know the issuer, or did not answer."""
    assert await gateways.another().result(ALICE.issuer) is None
    assert 1 == len(gateways.slept_s)


async def test_nothing_is_waited_for_longer_than_the_lease(
    gateways: Gateways, store: MemoryStore
) -> None:
    """Even if a lease never ended."""
    store.values[KEY] = b"1", 2**50
    assert await gateways.another().result(ALICE.issuer) is None
    assert LEASE_S <= sum(gateways.slept_s) < LEASE_S + 0.3


async def test_a_lease_ends_by_itself(gateways: Gateways, clock: FakeClock) -> None:
    """Its holder may have died."""
    await gateways.another().take(ALICE.issuer)
    clock.now_s += LEASE_S
    assert await gateways.another().take(ALICE.issuer)


async def test_without_the_store_each_gateway_asks(gateways: Gateways, store: MemoryStore) -> None:
    """A lease saves calls, and decides nothing."""
    store.is_down = True
    lease = gateways.another()
    assert await lease.take(ALICE.issuer)
    await lease.release(ALICE.issuer)
    assert await lease.result(ALICE.issuer) is None


async def test_the_number_of_leases_that_are_remembered_is_bounded(
    gateways: Gateways, store: MemoryStore
) -> None:
    """The others end by themselves."""
    lease = gateways.another()
    for number in range(1001):
        await lease.take(f"did:ethr:0x{number}")
    await lease.release("did:ethr:0x0")
    await lease.release("did:ethr:0x1000")
    assert "asking:did:ethr:0x0" in store.values
    assert "asking:did:ethr:0x1000" not in store.values
