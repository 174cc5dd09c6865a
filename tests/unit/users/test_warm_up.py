"""Warm-up: the records of many users, fetched in advance."""

import asyncio
from collections import Counter

import pytest

from gateway.core.errors import MagicUnavailable, StoreUnavailable
from gateway.core.identity import User
from gateway.users.known import known_key
from gateway.users.magic_api import KEY_REFUSED
from gateway.users.metadata import Record, RecordLifetimes
from gateway.users.records import UserRecords
from gateway.users.warm_up import WarmUp, WarmUpOutcome, WarmUpResult
from tests.fakes.memory import FakeClock, MemoryStore

LIFETIMES = RecordLifetimes(3600.0, 600.0)
SERVER_KEY = b"k" * 32
ISSUERS = [f"did:ethr:0x{number:040x}" for number in range(30)]
ENDLESS = 2**50


class Source:
    """Magic with the users that are not `unknown`, and the preset `troubles`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.unknown: set[str] = set()
        self.troubles: list[MagicUnavailable] = []
        """For the next questions, the last first."""
        self.silent_about: str | None = None
        self.at_once = 0
        self.most_at_once = 0

    async def user(self, issuer: str) -> User | None:
        self.asked.append(issuer)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.troubles:
            raise self.troubles.pop()
        if issuer == self.silent_about:
            raise MagicUnavailable("answer is not JSON")
        return None if issuer in self.unknown else User(issuer, "alice@example.com")


class WarmUpUnderTest:
    """A warm-up with its store and gateways; its sleep moves the clock."""

    def __init__(self, source: Source, store: MemoryStore, clock: FakeClock) -> None:
        self.source, self.store, self.clock = source, store, clock
        self.slept_s: list[float] = []
        self.told: list[str] = []
        self.steps = 0

    async def warm(self, *issuers: str, patience_s: float = 60.0, at_once: int = 4) -> WarmUpResult:
        warmer = WarmUp(
            self.source,
            UserRecords(self.store, [SERVER_KEY]),
            LIFETIMES,
            notify=self._notify,
            patience_s=patience_s,
            clock=self.clock,
            sleep=self._sleep,
        )
        return await warmer.warm(issuers, at_once, self._step)

    async def keep(self, issuer: str, age_s: float, server_key: bytes = SERVER_KEY) -> None:
        """A record in the store."""
        fetched_at_ms = int((self.clock() - age_s) * 1000)
        record = Record(User(issuer, "before@example.com"), fetched_at_ms)
        await UserRecords(self.store, [server_key]).keep(record, ENDLESS)

    async def stored(self, issuer: str) -> Record | None:
        records = UserRecords(self.store, [SERVER_KEY])
        return records.kept_in(await records.read(issuer), issuer)

    async def _notify(self, issuer: str) -> None:
        self.told.append(issuer)

    async def _sleep(self, length_s: float) -> None:
        self.slept_s.append(length_s)
        self.clock.now_s += length_s
        await asyncio.sleep(0)

    def _step(self) -> None:
        self.steps += 1


@pytest.fixture
def under_test(store: MemoryStore, clock: FakeClock) -> WarmUpUnderTest:
    return WarmUpUnderTest(Source(), store, clock)


def counts(warmed: WarmUpResult) -> dict[WarmUpOutcome, int]:
    return {outcome: len(found) for outcome, found in warmed.issuers.items() if found}


async def test_every_issuer_is_looked_up_once(under_test: WarmUpUnderTest) -> None:
    """With bounded concurrency; records are sealed, stored and published."""
    warmed = await under_test.warm(*ISSUERS)
    assert {WarmUpOutcome.KNOWN: 30} == counts(warmed)
    assert Counter(ISSUERS) == Counter(under_test.source.asked) == Counter(under_test.told)
    assert 4 == under_test.source.most_at_once
    assert 30 == under_test.steps
    record = await under_test.stored(ISSUERS[7])
    assert record is not None
    assert Record(User(ISSUERS[7], "alice@example.com"), int(under_test.clock() * 1000)) == record
    assert {int((under_test.clock() + 4200) * 1000)} == {
        end for _, end in under_test.store.values.values()
    }


@pytest.mark.parametrize(
    ("age_s", "server_key", "outcome"),
    [
        pytest.param(10, SERVER_KEY, WarmUpOutcome.FRESH, id="young"),
        pytest.param(3000, SERVER_KEY, WarmUpOutcome.KNOWN, id="ageing"),
        pytest.param(4000, SERVER_KEY, WarmUpOutcome.KNOWN, id="old"),
        pytest.param(10, b"x" * 32, WarmUpOutcome.KNOWN, id="not-ours"),
    ],
)
async def test_fresh_records_are_skipped(
    under_test: WarmUpUnderTest, age_s: float, server_key: bytes, outcome: WarmUpOutcome
) -> None:
    """Ageing ones and those without our seal are not."""
    await under_test.keep(ISSUERS[0], age_s, server_key)
    assert {outcome: 1} == counts(await under_test.warm(ISSUERS[0]))
    assert (
        (outcome is WarmUpOutcome.KNOWN) == bool(under_test.source.asked) == bool(under_test.told)
    )


async def test_unknown_issuers_are_counted(under_test: WarmUpUnderTest) -> None:
    """They are not stored; an old record is deleted, everywhere."""
    under_test.source.unknown = set(ISSUERS[:2])
    await under_test.keep(ISSUERS[0], 3500)
    warmed = await under_test.warm(*ISSUERS[:3])
    assert {WarmUpOutcome.KNOWN: 1, WarmUpOutcome.UNKNOWN: 2} == counts(warmed)
    assert ISSUERS[:2] == warmed.issuers[WarmUpOutcome.UNKNOWN]
    assert [known_key(ISSUERS[2])] == list(under_test.store.values)
    assert {ISSUERS[0], ISSUERS[2]} == set(under_test.told)


async def test_it_waits_for_retry_after(under_test: WarmUpUnderTest) -> None:
    """Within its patience, no issuer is lost."""
    under_test.source.troubles = [MagicUnavailable("status 503", wait_s) for wait_s in (20.0, 7.0)]
    assert {WarmUpOutcome.KNOWN: 3} == counts(await under_test.warm(*ISSUERS[:3], at_once=1))
    assert [7.0, 20.0] == under_test.slept_s


@pytest.mark.parametrize(
    ("trouble", "patience_s", "slept_s"),
    [
        pytest.param(MagicUnavailable("status 503", 300.0), 60.0, 0.0, id="away-for-too-long"),
        pytest.param(MagicUnavailable("no answer in time"), 3.0, 3.0, id="silent-for-too-long"),
        pytest.param(MagicUnavailable(KEY_REFUSED), 60.0, 0.0, id="waiting-cures-nothing"),
    ],
)
async def test_it_gives_up_on_all_issuers_at_once(
    under_test: WarmUpUnderTest, trouble: MagicUnavailable, patience_s: float, slept_s: float
) -> None:
    """Not on each in turn; the result names the trouble."""
    under_test.source.troubles = [trouble] * 1000
    warmed = await under_test.warm(*ISSUERS, patience_s=patience_s, at_once=1)
    assert ({WarmUpOutcome.FAILED: 30}, trouble.reason) == (counts(warmed), warmed.why)
    assert slept_s == sum(under_test.slept_s)
    assert {ISSUERS[0]} == set(under_test.source.asked)
    assert 30 == under_test.steps


async def test_one_failure_stops_no_others(under_test: WarmUpUnderTest) -> None:
    """While Magic answers about the others."""
    under_test.source.silent_about = ISSUERS[0]
    warmed = await under_test.warm(*ISSUERS, patience_s=2.0)
    assert {WarmUpOutcome.KNOWN: 29, WarmUpOutcome.FAILED: 1} == counts(warmed)
    assert ([ISSUERS[0]], "answer is not JSON") == (
        warmed.issuers[WarmUpOutcome.FAILED],
        warmed.why,
    )


async def test_a_store_that_is_down_ends_it(under_test: WarmUpUnderTest) -> None:
    """Records could not be stored."""
    under_test.store.is_down = True
    with pytest.raises(StoreUnavailable):
        await under_test.warm(*ISSUERS)
    assert [] == under_test.source.asked
