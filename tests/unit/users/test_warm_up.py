"""Records of many users, fetched before they come."""

import asyncio
from collections import Counter

import pytest

from gateway.core.errors import MagicUnavailable, StoreUnavailable
from gateway.core.identity import User
from gateway.users.directory import key_of
from gateway.users.magic_api import KEY_REFUSED
from gateway.users.metadata import Record, RecordLifetimes, RecordSealer
from gateway.users.warm_up import WarmUp, WarmUpOutcome, WarmUpResult
from tests.fakes.memory import FakeClock, MemoryStore

LIFETIMES = RecordLifetimes(3600.0, 600.0)
SEALS = RecordSealer([b"k" * 32])
ISSUERS = [f"did:ethr:0x{number:040x}" for number in range(30)]
ENDLESS = 2**50


class Source:
    """Magic, which knows everybody but `strangers`, and answers with what stands in `troubles`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.strangers: set[str] = set()
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
        return None if issuer in self.strangers else User(issuer, "somebody@example.com")


class Bench:
    """A warmer and all that it touches; its sleep moves the clock."""

    def __init__(self, source: Source, store: MemoryStore, clock: FakeClock) -> None:
        self.source, self.store, self.clock = source, store, clock
        self.slept_s: list[float] = []
        self.told: list[str] = []
        self.steps = 0

    async def warm(self, *issuers: str, patience_s: float = 60.0, at_once: int = 4) -> WarmUpResult:
        warmer = WarmUp(
            self.source,
            self.store,
            SEALS,
            LIFETIMES,
            notify=self._notify,
            patience_s=patience_s,
            clock=self.clock,
            sleep=self._sleep,
        )
        return await warmer.warm(issuers, at_once, self._step)

    async def keep(self, issuer: str, age_s: float, seals: RecordSealer = SEALS) -> None:
        """A record in the store."""
        fetched_at_ms = int((self.clock() - age_s) * 1000)
        record = Record(User(issuer, "before@example.com"), fetched_at_ms)
        await self.store.set(key_of(issuer), seals.encode(record), expires_at_ms=ENDLESS)

    async def stored(self, issuer: str) -> Record | None:
        text = await self.store.get(key_of(issuer))
        return None if text is None else SEALS.decode(text, issuer)

    async def _notify(self, issuer: str) -> None:
        self.told.append(issuer)

    async def _sleep(self, length_s: float) -> None:
        self.slept_s.append(length_s)
        self.clock.now_s += length_s
        await asyncio.sleep(0)

    def _step(self) -> None:
        self.steps += 1


@pytest.fixture
def bench(store: MemoryStore, clock: FakeClock) -> Bench:
    return Bench(Source(), store, clock)


def counts(warmed: WarmUpResult) -> dict[WarmUpOutcome, int]:
    return {outcome: len(found) for outcome, found in warmed.issuers.items() if found}


async def test_all_are_asked_about_once(bench: Bench) -> None:
    """So many at a time, and no more; what Magic says is stored, sealed, and gateways are told."""
    warmed = await bench.warm(*ISSUERS)
    assert {WarmUpOutcome.KNOWN: 30} == counts(warmed)
    assert Counter(ISSUERS) == Counter(bench.source.asked) == Counter(bench.told)
    assert 4 == bench.source.most_at_once
    assert 30 == bench.steps
    record = await bench.stored(ISSUERS[7])
    assert record is not None
    assert Record(User(ISSUERS[7], "somebody@example.com"), int(bench.clock() * 1000)) == record
    assert {int((bench.clock() + 3600) * 1000)} == {end for _, end in bench.store.values.values()}


@pytest.mark.parametrize(
    ("age_s", "seals", "outcome"),
    [
        pytest.param(10, SEALS, WarmUpOutcome.FRESH, id="young"),
        pytest.param(3000, SEALS, WarmUpOutcome.KNOWN, id="ageing"),
        pytest.param(4000, SEALS, WarmUpOutcome.KNOWN, id="old"),
        pytest.param(10, RecordSealer([b"x" * 32]), WarmUpOutcome.KNOWN, id="of-somebody-else"),
    ],
)
async def test_the_fresh_are_left_alone(
    bench: Bench, age_s: float, seals: RecordSealer, outcome: WarmUpOutcome
) -> None:
    """Magic is asked about records that will soon end, or that no gateway has written."""
    await bench.keep(ISSUERS[0], age_s, seals)
    assert {outcome: 1} == counts(await bench.warm(ISSUERS[0]))
    assert (outcome is WarmUpOutcome.KNOWN) == bool(bench.source.asked) == bool(bench.told)


async def test_strangers_are_counted(bench: Bench) -> None:
    """Nothing is written for them; a record of one who was known is deleted, everywhere."""
    bench.source.strangers = set(ISSUERS[:2])
    await bench.keep(ISSUERS[0], 3500)
    warmed = await bench.warm(*ISSUERS[:3])
    assert {WarmUpOutcome.KNOWN: 1, WarmUpOutcome.UNKNOWN: 2} == counts(warmed)
    assert ISSUERS[:2] == warmed.issuers[WarmUpOutcome.UNKNOWN]
    assert [key_of(ISSUERS[2])] == list(bench.store.values)
    assert {ISSUERS[0], ISSUERS[2]} == set(bench.told)


async def test_it_comes_back_when_it_is_told_to(bench: Bench) -> None:
    """However often, as long as that is within its patience; nobody is lost."""
    bench.source.troubles = [MagicUnavailable("status 503", wait_s) for wait_s in (20.0, 7.0)]
    assert {WarmUpOutcome.KNOWN: 3} == counts(await bench.warm(*ISSUERS[:3], at_once=1))
    assert [7.0, 20.0] == bench.slept_s


@pytest.mark.parametrize(
    ("trouble", "patience_s", "slept_s"),
    [
        pytest.param(MagicUnavailable("status 503", 300.0), 60.0, 0.0, id="away-for-too-long"),
        pytest.param(MagicUnavailable("no answer in time"), 3.0, 3.0, id="silent-for-too-long"),
        pytest.param(MagicUnavailable(KEY_REFUSED), 60.0, 0.0, id="waiting-cures-nothing"),
    ],
)
async def test_it_gives_up(
    bench: Bench, trouble: MagicUnavailable, patience_s: float, slept_s: float
) -> None:
    """Once for all who are left, not for each of them; it says what the trouble was."""
    bench.source.troubles = [trouble] * 1000
    warmed = await bench.warm(*ISSUERS, patience_s=patience_s, at_once=1)
    assert ({WarmUpOutcome.FAILED: 30}, trouble.reason) == (counts(warmed), warmed.why)
    assert slept_s == sum(bench.slept_s)
    assert {ISSUERS[0]} == set(bench.source.asked)
    assert 30 == bench.steps


async def test_one_that_fails_holds_up_no_others(bench: Bench) -> None:
    """While Magic answers about all others, it is one that failed."""
    bench.source.silent_about = ISSUERS[0]
    warmed = await bench.warm(*ISSUERS, patience_s=2.0)
    assert {WarmUpOutcome.KNOWN: 29, WarmUpOutcome.FAILED: 1} == counts(warmed)
    assert ([ISSUERS[0]], "answer is not JSON") == (
        warmed.issuers[WarmUpOutcome.FAILED],
        warmed.why,
    )


async def test_a_store_that_is_down_ends_it(bench: Bench) -> None:
    """There is no use in asking for what cannot be kept."""
    bench.store.is_down = True
    with pytest.raises(StoreUnavailable):
        await bench.warm(*ISSUERS)
    assert [] == bench.source.asked
