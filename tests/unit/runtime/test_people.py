"""Pages of people who are signed in."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import Browser, SessionSummary
from gateway.runtime import people as module
from gateway.runtime.people import People
from gateway.sessions.redis import RedisSessions
from tests.fakes.memory import FakeClock, MemoryStore

LIVING = SessionSummary("id", "session:x", Browser("Firefox", ""), 1_000, 2_000, 3_000)


class Scans:
    """Yields keys by tens, and knows how many were read and which scans have ended."""

    def __init__(self, count: int, start: str = "") -> None:
        self.count = count
        self.start = start
        """What the keys of the store begin with; empty for any that is asked for."""
        self.read = self.ended = 0

    async def of(self, start: str) -> AsyncGenerator[list[str], None]:
        try:
            for first in range(0, self.count, 10):
                self.read += 10
                numbers = range(first, min(first + 10, self.count))
                names = [f"{self.start or start}did:ethr:0x{number:040x}" for number in numbers]
                yield [name for name in names if name.startswith(start)]
        finally:
            self.ended += 1


class Sessions(RedisSessions):
    """Everyone has one session, but those whose issuer ends in a 7."""

    def __init__(self) -> None:
        pass

    async def list_for(self, issuer: str) -> list[SessionSummary]:
        return [] if issuer.endswith("7") else [LIVING]


def _people(scans: Scans) -> People:
    return People(MemoryStore(FakeClock()), Sessions, scans.of)


async def test_a_page_reads_no_more_than_it_shows() -> None:
    """However many there are; those without a living session are left out."""
    scans = Scans(1_000_000)
    people = _people(scans)
    first = await people.page("")
    second = await people.page("", first.more)
    shown = [each["issuer"] for each in (*first.people, *second.people)]
    assert (50, 50, 100) == (len(first.people), len(second.people), len(set(shown)))
    assert not [issuer for issuer in shown if issuer.endswith("7")]
    assert scans.read < 120
    await people.aclose()
    assert 1 == scans.ended


async def test_the_last_page_says_that_it_is() -> None:
    """And its scan has ended; a page cannot be asked for twice."""
    scans = Scans(60)
    people = _people(scans)
    first = await people.page("")
    last = await people.page("", first.more)
    assert ("", 1) == (last.more, scans.ended)
    with pytest.raises(ValueError, match="begin again"):
        await people.page("", first.more)


async def test_a_search_that_is_left_ends() -> None:
    """The one that was used longest ago, when there are too many."""
    scans = Scans(1000)
    people = _people(scans)
    first = (await people.page("")).more
    for _ in range(module.MAX_SEARCHES):
        await people.page("")
    assert 1 == scans.ended
    with pytest.raises(ValueError, match="begin again"):
        await people.page("", first)
    await people.aclose()
    assert module.MAX_SEARCHES + 1 == scans.ended


async def test_a_page_does_not_take_long() -> None:
    """What was found by then is shown, and the search can be gone on with."""
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 2.0
        return now_s

    scans = Scans(1000)
    people = People(MemoryStore(FakeClock()), Sessions, scans.of, clock)
    page = await people.page("")
    assert page.more
    assert len(page.people) < 50
    await people.aclose()


@pytest.mark.parametrize(("wanted", "start"), [("@example.org", ""), ("", "session:")])
async def test_a_search_that_finds_no_one_does_not_take_long(wanted: str, start: str) -> None:
    """However many others there are, and however many keys of other kinds."""
    clock = FakeClock()

    def ticking() -> float:
        clock.now_s += 0.01
        return clock()

    scans = Scans(1_000_000, start)
    people = People(MemoryStore(FakeClock()), Sessions, scans.of, ticking)
    page = await people.page(wanted)
    assert ([], True) == (page.people, bool(page.more))
    assert 5000 > scans.read
    await people.page(wanted, page.more)
    assert 5000 < scans.read < 10_000
    await people.aclose()


async def test_a_search_that_is_not_gone_on_with_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, also when no other comes: it holds a connection to the store."""
    monkeypatch.setattr(module, "KEPT_S", 0.01)
    scans = Scans(1000)
    people = _people(scans)
    more = (await people.page("")).more
    async with asyncio.timeout(20):
        while not scans.ended:
            await asyncio.sleep(0.001)
    with pytest.raises(ValueError, match="begin again"):
        await people.page("", more)


async def test_a_search_that_is_gone_on_with_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time begins again with each page."""
    scans = Scans(1000)
    people = _people(scans)
    first = await people.page("")
    timer = people._open[first.more].timer
    second = await people.page("", first.more)
    assert timer.cancelled()
    assert not people._open[second.more].timer.cancelled()
    await people.aclose()
    assert 1 == scans.ended


@pytest.mark.parametrize("more", ["x", "0", "../x", "session:1"])
async def test_a_search_is_gone_on_with_by_its_name_alone(more: str) -> None:
    """What was made up is refused, and reads nothing."""
    scans = Scans(1000)
    with pytest.raises(ValueError, match="begin again"):
        await _people(scans).page("", more)
    assert 0 == scans.read


async def test_few_searches_read_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for them, and are answered."""
    reading = most = 0
    sessions = Sessions()

    async def list_for(_: str) -> list[SessionSummary]:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0)
        reading -= 1
        return [LIVING]

    monkeypatch.setattr(sessions, "list_for", list_for)
    people = People(MemoryStore(FakeClock()), lambda: sessions, Scans(0).of)
    issuer = "did:ethr:0x" + "0" * 39 + "1"
    pages = await asyncio.gather(*(people.page(issuer) for _ in range(20)))
    assert [1] * 20 == [len(page.people) for page in pages]
    assert module.MAX_SEARCHES >= most


@pytest.mark.parametrize("text", ["x", "@", "did:ethr:0x1"])
async def test_other_text_is_refused(text: str) -> None:
    """Neither an address, nor a domain, nor an issuer."""
    with pytest.raises(ValueError, match=r"expected|neither|@"):
        await _people(Scans(0)).page(text)


async def test_one_issuer_is_found_without_a_scan() -> None:
    """By its name."""
    scans = Scans(1000)
    issuer = "did:ethr:0x" + "0" * 39 + "1"
    page = await _people(scans).page(issuer)
    assert ([issuer], 0, None) == (
        [each["issuer"] for each in page.people],
        scans.read,
        page.people[0]["email"],
    )


async def test_a_search_that_fails_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is away: its scan is not left open."""
    scans, people_sessions = Scans(1000), Sessions()

    async def fail(_: str) -> list[SessionSummary]:
        raise StoreUnavailable("away")

    monkeypatch.setattr(people_sessions, "list_for", fail)
    people = People(MemoryStore(FakeClock()), lambda: people_sessions, scans.of)
    with pytest.raises(StoreUnavailable):
        await people.page("")
    assert 1 == scans.ended
