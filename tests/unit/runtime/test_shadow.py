"""How decided requests reach a candidate config, and what becomes of those that do not."""

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from gateway.core.errors import StoreUnavailable, Unauthenticated
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Reply, RequestHead
from gateway.pipeline.request import RequestPipeline
from gateway.runtime import shadow
from gateway.runtime.shadow import CandidateConfig, ShadowTraffic, shadow_traffic
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import SHADOW_DIVERGENCES, SHADOW_REQUESTS
from tests.fakes.heads import request_head

HEAD = request_head(target="/x")
REPLY = Reply(204, (), b"")

Decide = Callable[[], Coroutine[Any, Any, Outbound | Reply]]


async def _reply() -> Reply:
    return REPLY


async def _refuse() -> NoReturn:
    raise Unauthenticated


async def _break() -> NoReturn:
    raise ZeroDivisionError


async def _hang() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


async def _without_store() -> NoReturn:
    raise StoreUnavailable("away")


def _candidate(decide: Decide, stack: AsyncExitStack | None = None) -> CandidateConfig:
    def admit(_: RequestHead, record: RequestRecord) -> Coroutine[Any, Any, Outbound | Reply]:
        record.route = "rest"
        return decide()

    pipeline = cast("RequestPipeline", SimpleNamespace(admit=admit))
    return CandidateConfig(pipeline, stack or AsyncExitStack())


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
async def traffic(counters: Counters) -> AsyncIterator[ShadowTraffic]:
    async with shadow_traffic(counters) as made:
        yield made


async def _ask(traffic: ShadowTraffic, live: Decide, route: str = "rest") -> None:
    def admit(_: RequestHead, record: RequestRecord) -> Coroutine[Any, Any, Outbound | Reply]:
        record.route, record.path = route, "/x"
        return live()

    with suppress(Unauthenticated, StoreUnavailable):
        await traffic.observe(admit)(HEAD, RequestRecord())


async def _until(counters: Counters, outcome: str, count: int) -> None:
    async with asyncio.timeout(20):
        while counters.counts.get((SHADOW_REQUESTS, outcome), 0) < count:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("live", "theirs", "outcome"),
    [
        pytest.param(_reply, _reply, "alike", id="alike"),
        pytest.param(_refuse, _refuse, "alike", id="both-refuse"),
        pytest.param(_reply, _refuse, "different", id="different"),
        pytest.param(_reply, _break, "failed", id="a-defect"),
        pytest.param(_reply, _without_store, "failed", id="its-store-is-away"),
        pytest.param(_without_store, _reply, "failed", id="our-store-was-away"),
    ],
)
async def test_what_is_counted(
    traffic: ShadowTraffic, counters: Counters, live: Decide, theirs: Decide, outcome: str
) -> None:
    """The request itself is decided by the config in use alone."""
    await traffic.use(_candidate(theirs))
    await _ask(traffic, live)
    await _until(counters, outcome, 1)
    expected: dict[tuple[object, str], int] = {(SHADOW_REQUESTS, outcome): 1}
    if outcome == "different":
        expected[SHADOW_DIVERGENCES, "rest,would_refuse"] = 1
    assert expected == counters.counts


async def test_a_request_without_a_route_counts_as_in_other_metrics(
    traffic: ShadowTraffic, counters: Counters
) -> None:
    """A reload does not take it for a route that was removed."""
    await traffic.use(_candidate(_reply))
    await _ask(traffic, _refuse, "")
    await _until(counters, "different", 1)
    counters.forget_removed({"route": frozenset({"rest"}), "limit": frozenset()})
    assert 1 == counters.counts[SHADOW_DIVERGENCES, "-,would_admit"]


async def test_one_that_hangs_holds_up_the_others_for_a_time(
    traffic: ShadowTraffic, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the next is decided about."""
    monkeypatch.setattr(shadow, "_DECIDE_S", 0.01)
    await traffic.use(_candidate(_hang))
    await _ask(traffic, _reply)
    await _until(counters, "failed", 1)
    monkeypatch.setattr(shadow, "_DECIDE_S", 60)
    await traffic.use(_candidate(_reply))
    await _ask(traffic, _reply)
    await _until(counters, "alike", 1)


async def test_more_than_may_wait_are_left_out(
    counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request waits for the candidate, and memory has a bound."""
    monkeypatch.setattr(shadow, "_MAX_WAITING", 3)
    traffic = ShadowTraffic(counters)
    await traffic.use(_candidate(_reply))
    for _ in range(5):
        await _ask(traffic, _refuse)
    assert {(SHADOW_REQUESTS, "dropped"): 2} == counters.counts


async def test_without_a_candidate_nothing_waits(
    traffic: ShadowTraffic, counters: Counters
) -> None:
    """Neither before there is one, nor after it was withdrawn; what it has opened is closed."""
    closed: list[bool] = []
    stack = AsyncExitStack()
    stack.callback(closed.append, True)
    await _ask(traffic, _reply)
    await traffic.use(_candidate(_reply, stack))
    await traffic.use(None)
    await _ask(traffic, _reply)
    assert ({}, [True]) == (counters.counts, closed)


async def test_what_waits_for_a_candidate_that_is_replaced_is_left_out(counters: Counters) -> None:
    """It is counted: the figures add up to the requests."""
    traffic = ShadowTraffic(counters)
    await traffic.use(_candidate(_reply))
    for _ in range(3):
        await _ask(traffic, _reply)
    await traffic.use(_candidate(_reply))
    assert {(SHADOW_REQUESTS, "dropped"): 3} == counters.counts
    await traffic.use(None)


async def test_a_divergence_is_logged_at_first_and_then_now_and_again(
    traffic: ShadowTraffic, counters: Counters, caplog: pytest.LogCaptureFixture
) -> None:
    """Each kind of each route by itself."""
    caplog.set_level(logging.WARNING, "gateway.shadow")
    await traffic.use(_candidate(_refuse))
    for _ in range(3):
        await _ask(traffic, _reply)
    await _until(counters, "different", 3)
    [told] = caplog.messages
    assert told == (
        "would_refuse: GET /x, request req-1: answered 204 by route rest;"
        " by the candidate config refused 401 unauthenticated by route rest"
    )


async def test_a_refusal_at_once_is_compared_too(
    traffic: ShadowTraffic, counters: Counters
) -> None:
    """As stages that need no wait refuse."""

    def admit(_: RequestHead, record: RequestRecord) -> NoReturn:
        record.route = "rest"
        raise Unauthenticated

    await traffic.use(_candidate(_refuse))
    with pytest.raises(Unauthenticated):
        await traffic.observe(admit)(HEAD, RequestRecord())
    await _until(counters, "alike", 1)


async def test_a_candidate_that_decides_is_not_closed(
    traffic: ShadowTraffic, counters: Counters
) -> None:
    """What it has opened is closed when it has decided; the next one goes on."""
    decides, may_go_on, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait() -> Reply:
        decides.set()
        await may_go_on.wait()
        assert not closed.is_set()
        return REPLY

    stack = AsyncExitStack()
    stack.callback(closed.set)
    await traffic.use(_candidate(wait, stack))
    await _ask(traffic, _reply)
    await decides.wait()
    using = asyncio.create_task(traffic.use(_candidate(_refuse)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert (closed.is_set(), using.done()) == (False, False)
    may_go_on.set()
    await using
    assert closed.is_set()
    await _ask(traffic, _refuse)
    await _until(counters, "alike", 2)


async def test_one_that_cannot_be_closed_is_replaced_all_the_same(
    traffic: ShadowTraffic, counters: Counters, caplog: pytest.LogCaptureFixture
) -> None:
    """A promotion that has been done must not look as if it had failed."""
    stack = AsyncExitStack()
    stack.push_async_callback(_break)
    await traffic.use(_candidate(_refuse, stack))
    await traffic.use(_candidate(_reply))
    assert ["the candidate config was not closed"] == caplog.messages
    await _ask(traffic, _reply)
    await _until(counters, "alike", 1)


async def test_what_has_waited_for_long_is_left_out(
    traffic: ShadowTraffic, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session may have ended since: that says nothing about the candidate."""
    await traffic.use(_candidate(_refuse))
    monkeypatch.setattr(shadow, "_MAX_AGE_S", -1.0)
    await _ask(traffic, _reply)
    await _until(counters, "dropped", 1)
    monkeypatch.setattr(shadow, "_MAX_AGE_S", 60.0)
    await _ask(traffic, _reply)
    await _until(counters, "different", 1)


async def test_refusals_of_the_candidate_leave_no_garbage(
    traffic: ShadowTraffic, counters: Counters
) -> None:
    """Their frames hold the head with its credentials, until a collection that comes late."""
    refusals: list[weakref.ref[Unauthenticated]] = []

    async def refuse() -> NoReturn:
        refusal = Unauthenticated()
        refusals.append(weakref.ref(refusal))
        try:
            raise refusal
        finally:
            del refusal

    gc.collect()
    gc.disable()
    try:
        await traffic.use(_candidate(refuse))
        await _ask(traffic, _reply)
        await _until(counters, "different", 1)
        await asyncio.sleep(0)
        assert [None] == [refusal() for refusal in refusals]
    finally:
        gc.enable()


async def test_a_defect_is_logged_now_and_again(
    traffic: ShadowTraffic, counters: Counters, caplog: pytest.LogCaptureFixture
) -> None:
    """Not with each request."""
    await traffic.use(_candidate(_break))
    for _ in range(3):
        await _ask(traffic, _reply)
    await _until(counters, "failed", 3)
    assert ["the candidate config has not decided about req-1"] == caplog.messages


async def test_what_cannot_be_compared_is_a_defect_too(
    traffic: ShadowTraffic, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next request is compared all the same."""
    await traffic.use(_candidate(_reply))
    with monkeypatch.context() as broken:
        broken.setattr(shadow, "divergence", None)
        await _ask(traffic, _reply)
        await _until(counters, "failed", 1)
    await _ask(traffic, _reply)
    await _until(counters, "alike", 1)


@pytest.mark.parametrize(("live", "expected"), [(_reply, True), (_refuse, False)])
async def test_the_places_that_a_request_has_taken_are_told(
    traffic: ShadowTraffic, counters: Counters, live: Decide, *, expected: bool
) -> None:
    """Only one that was admitted has some."""
    told: list[bool] = []

    async def decide() -> Reply:
        told.append(bool(made.held.own()))
        return REPLY

    def admit(_: RequestHead, record: RequestRecord) -> Coroutine[Any, Any, Outbound | Reply]:
        record.route, record.on_end = "rest", (lambda: None,)
        return live()

    made = _candidate(decide)
    await traffic.use(made)
    with suppress(Unauthenticated):
        await traffic.observe(admit)(HEAD, RequestRecord())
    await _until(counters, "alike" if expected else "different", 1)
    assert [expected] == told
