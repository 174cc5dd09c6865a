"""The live figures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from itertools import count

import orjson
import pytest

from gateway.admin import feed as module
from gateway.admin.feed import Feed, TooManyPages, event
from gateway.admin.status import Status
from tests.fakes.admin import Source


def _refused(number: int) -> dict[str, object]:
    return {
        "time": f"2026-01-01T00:00:00.{number:03}Z",
        "id": str(number),
        "client": "",
        "path": "",
    }


def _read(sent: bytes) -> dict[str, object]:
    """The data of events by their names."""
    events = [part.split("\n") for part in sent.decode().strip().split("\n\n")]
    return {
        name.removeprefix("event: "): orjson.loads(data.removeprefix("data: "))
        for name, data in events
    }


def _ids(sent: bytes) -> list[str]:
    refusals = _read(sent).get("refusals", [])
    assert isinstance(refusals, list)
    return [each["id"] for each in refusals]


async def _next(events: AsyncIterator[bytes]) -> bytes:
    async with asyncio.timeout(20):
        return await anext(events)


async def test_a_page_gets_figures_and_each_refusal_once() -> None:
    """Also one that happened while the last were read, and is told of a second time."""
    source = Source()
    source.refused = [_refused(1), _refused(2)]
    feed = Feed(source, lambda: 1_767_225_600.0, 0.001)
    async with aclosing(feed.events({"is_read_only": False})) as page:  # type: ignore[type-var]
        hello = _read(await _next(page))["hello"]
        assert isinstance(hello, dict)
        assert hello["is_read_only"] is False
        first = await _next(page)
        figures = _read(first)["figures"]
        assert isinstance(figures, dict)
        assert "ok" == figures["status"]
        assert ["1", "2"] == _ids(first)
        assert [] == _ids(await _next(page))
        source.refused.append(_refused(3))
        while not (found := _ids(await _next(page))):
            pass
        assert ["3"] == found

        async with aclosing(feed.events()) as another:  # type: ignore[type-var]
            await _next(another)
            assert ["1", "2", "3"] == _ids(await _next(another))


async def test_figures_are_read_only_while_a_page_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read before the first page comes, nor after the last has gone."""
    source, read = Source(), 0

    async def state() -> object:
        nonlocal read
        read += 1
        return source.status

    monkeypatch.setattr(source, "state", state)
    feed = Feed(source, period_s=0.001)
    await asyncio.sleep(0)
    assert 0 == read
    async with aclosing(feed.events()) as page:  # type: ignore[type-var]
        await _next(page)
        await _next(page)
        task = feed._reading
    assert task is not None
    with pytest.raises(asyncio.CancelledError):
        await task
    assert read > 0


async def test_all_pages_are_ended() -> None:
    """The gateway stops: it does not wait for browsers."""
    feed = Feed(Source(), period_s=0.001)
    async with aclosing(feed.events()) as page:  # type: ignore[type-var]
        await _next(page)
        feed.close()
        with pytest.raises(StopAsyncIteration):
            await _next(page)


async def test_pages_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused, and takes no place."""
    monkeypatch.setattr(module, "MAX_PAGES", 1)
    feed = Feed(Source(), period_s=0.001)
    async with aclosing(feed.events()) as page:  # type: ignore[type-var]
        await _next(page)
        with pytest.raises(TooManyPages):
            await _next(feed.events())
    async with aclosing(feed.events()) as page:  # type: ignore[type-var]
        await _next(page)


async def test_one_reader_keeps_no_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all pages are open, one who has more than another gives up the oldest."""
    monkeypatch.setattr(module, "MAX_PAGES", 4)
    feed = Feed(Source(), period_s=0.001)
    async with AsyncExitStack() as stack:

        async def opened(reader: str) -> AsyncIterator[bytes]:
            events = feed.events(reader=reader)
            await stack.enter_async_context(aclosing(events))  # type: ignore[type-var]
            await _next(events)
            return events

        greedy = [await opened("greedy") for _ in range(4)]
        ada = [await opened("ada"), await opened("ada")]
        for reader in ("ada", "greedy"):
            with pytest.raises(TooManyPages):
                await opened(reader)
        for ended in greedy[:2]:
            with pytest.raises(StopAsyncIteration):
                await _next(ended)
        for events in (*greedy[2:], *ada):
            await _next(events)
        await opened("bob")


async def test_a_failure_ends_no_page(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next second may be better; the log has the reason."""
    source = Source()
    answer, failures = source.overview, 2

    async def overview() -> object:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise RuntimeError("broken")
        return await answer()

    monkeypatch.setattr(source, "overview", overview)
    async with aclosing(Feed(source, period_s=0.001).events()) as page:  # type: ignore[type-var]
        await _next(page)
        assert "figures" in _read(await _next(page))
    assert "cannot be read" in caplog.text


def test_no_text_ends_an_event() -> None:
    """JSON writes line breaks as escapes."""
    assert b'event: a\ndata: "x\\n\\ndata: y\\r"\n\n' == event("a", "x\n\ndata: y\r")


async def test_where_there_is_much_to_read_it_is_read_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Figures of four times as many values come a fourth as often."""
    waits: list[float] = []
    source, sleep = Source(), asyncio.sleep

    async def slept(wait_s: float) -> None:
        waits.append(wait_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", slept)
    monkeypatch.setattr(module, "VALUES_A_SECOND", 0.25)  # there is one value
    async with aclosing(Feed(source, period_s=50).events()) as page:  # type: ignore[type-var]
        await _next(page)
        await _next(page)
        await _next(page)
    assert 200 == pytest.approx(waits[0], abs=5)


async def test_a_page_that_opens_is_told_of_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures were read while no page was open; those of now come at once, and not a step later."""
    monkeypatch.setattr(module, "STEP_S", 0.001)
    source, steps = Source(), count()
    feed = Feed(source, lambda: 1_767_225_600.0 + 5 * next(steps), 0.001)
    feed.keep_history()
    async with asyncio.timeout(20):
        while len(feed._history.document()["points"]) < 3:
            await asyncio.sleep(0)
    monkeypatch.setattr(module, "STEP_S", 1000.0)
    async with aclosing(feed.events()) as page:  # type: ignore[type-var]
        first = _read(await _next(page))
        history = first["history"]
        assert isinstance(history, dict)
        assert 1_767_225_600.0 == history["since_s"]
        assert len(history["points"]) >= 3
        assert {len(history["names"])} == {len(each) for each in history["points"]}
        times = [each["time_s"] for each in history["figures"]]
        assert 5 <= times[1] - times[0] <= 10
        assert "figures" in _read(await _next(page))
    assert feed._reading is not None
    assert not feed._reading.done()
    feed.close()
    with pytest.raises(asyncio.CancelledError):
        await feed._reading


async def test_the_page_is_told_what_is_wrong_and_since_when() -> None:
    """The time stays the same while it lasts."""
    source, steps = Source(), count(1_767_225_600)
    source.status = Status(False, "draining", "ok")
    async with aclosing(Feed(source, lambda: next(steps), 0.001).events()) as page:  # type: ignore[type-var]
        await _next(page)
        states = [_read(await _next(page))["figures"]["state"] for _ in range(2)]  # type: ignore[index]
    assert states[0] == states[1]
    assert "warn" == states[0]["level"]
    [trouble] = states[0]["troubles"]
    assert "The gateway drains" in trouble["text"]


async def test_a_page_compares_with_no_figures_of_the_future() -> None:
    """A clock that is set back would have made rates negative, for as long as it went back."""
    times = iter([0.0, 7200.0, 7205.0, 3600.0, 3601.0])
    feed = Feed(Source(), lambda: next(times))
    for _ in range(4):
        await feed.read()
    past = _read(feed._past())["history"]
    assert isinstance(past, dict)
    assert [3600.0] == [each["time_s"] for each in past["figures"]]
