"""
Shadow traffic: the heads of live requests are decided by a second config too, which has no effect.

The config in use decides first. Then its decision and the head wait for the candidate, in a queue
with a bound: no request waits for the candidate, and when it falls behind, heads are left out and
counted. The candidate reads the store and writes nothing to it; it counts limits in this process.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from gateway.core.errors import Refusal, Unavailable
from gateway.core.handling import Admit
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Reply, RequestHead
from gateway.pipeline.divergence import Decision, Divergence, divergence
from gateway.pipeline.request import RequestPipeline
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import (
    NO_ROUTE,
    SHADOW_DIVERGENCES,
    SHADOW_REQUESTS,
    ShadowOutcome,
)
from gateway.util.awaited import Around
from gateway.util.background import background
from gateway.util.lru import LruCache

_MAX_WAITING = 1024
"""Heads that wait for the candidate; more are left out."""
_DECIDE_S = 2.0
"""Time for the candidate to decide about one head."""
_MAX_AGE_S = 5.0
"""
Heads that have waited for longer are left out: sessions and tokens have ended since, and would look
as if the candidate refused them.
"""
_LOG_EVERY_S = 60.0
"""A divergence is logged when it is seen first, and then so often at most."""
_MAX_LOGGED = 1024
"""Lines that are remembered: of a route, and of one kind of divergence or defect."""

_log = logging.getLogger("gateway.shadow")


class HeldPlaces:
    """
    The places of a request that is decided about, in the limits of requests under way.

    The config in use has taken them before; without that, the last place would look taken.
    """

    has_some = False

    def own(self) -> int:
        """Return how many of a caller's places are those of the request itself."""
        return int(self.has_some)


class CandidateConfig(NamedTuple):
    """A second config, ready to decide."""

    pipeline: RequestPipeline
    stack: AsyncExitStack
    """Closes what the candidate has opened."""
    unlike: frozenset[bytes] = frozenset()
    """Names of header fields, in lower case, that differ each time."""
    held: HeldPlaces = HeldPlaces()
    """Is told of each request before the pipeline decides about it."""


class _Observed(NamedTuple):
    """A request that was decided."""

    head: RequestHead
    record: RequestRecord
    outcome: Outbound | Reply | Refusal
    at_s: float
    """When it was decided, by the monotonic clock."""


class ShadowTraffic:
    """Hands decided requests to the candidate, and counts where it decides otherwise."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._candidate: CandidateConfig | None = None
        self._waiting: deque[_Observed] = deque()
        self._arrived = asyncio.Event()
        self._deciding = asyncio.Lock()
        """Held while the candidate decides: until then it is not closed."""
        self._logged: LruCache[tuple[str, str], float] = LruCache(_MAX_LOGGED)

    async def use(self, candidate: CandidateConfig | None) -> None:
        """Decide by ``candidate`` from now on; None for no more. Never fails."""
        before, self._candidate = self._candidate, candidate
        while self._waiting:
            self._waiting.popleft()
            self._counters.add(SHADOW_REQUESTS, "dropped")
        if before is None:
            return
        try:
            async with self._deciding:  # what decides may use what the candidate has opened
                pass
        finally:
            await _close(before)

    def observe(self, admit: Admit) -> Admit:
        """Return what does as ``admit`` does, and hands its decisions to the candidate."""

        def observed(
            head: RequestHead, record: RequestRecord
        ) -> Coroutine[Any, Any, Outbound | Reply]:
            if self._candidate is None:
                return admit(head, record)
            try:
                rest = admit(head, record)
            except Refusal as refusal:
                self._note(head, record, refusal)
                raise
            return _ObservedAdmission(rest, partial(self._note, head, record))

        return observed

    def _note(
        self, head: RequestHead, record: RequestRecord, outcome: Outbound | Reply | Refusal
    ) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            self._counters.add(SHADOW_REQUESTS, "dropped")
            return
        self._waiting.append(_Observed(head, record, outcome, time.monotonic()))
        self._arrived.set()

    async def run(self) -> None:
        """Decide about what waits, without end; others run between two decisions."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                async with self._deciding:
                    await self._decide_next()
                await asyncio.sleep(0)

    async def _decide_next(self) -> None:
        if not self._waiting or (candidate := self._candidate) is None:
            return  # another candidate has come meanwhile, or none
        observed = self._waiting.popleft()
        if time.monotonic() - observed.at_s > _MAX_AGE_S:
            self._counters.add(SHADOW_REQUESTS, "dropped")
            return
        self._counters.add(SHADOW_REQUESTS, await self._compare(observed, candidate))

    async def _compare(self, observed: _Observed, candidate: CandidateConfig) -> ShadowOutcome:
        is_admitted = not isinstance(observed.outcome, Refusal)
        candidate.held.has_some = is_admitted and bool(observed.record.on_end)
        try:
            async with asyncio.timeout(_DECIDE_S):
                theirs = await _decision(candidate.pipeline, observed.head)
            return self._verdict(observed, theirs, candidate.unlike)
        except TimeoutError:
            return "failed"
        except Exception as error:  # noqa: BLE001 (a defect: requests go on, and so does the comparison)
            if self._may_log(observed.record.route, type(error).__name__):
                request_id = observed.head.request_id
                _log.exception("the candidate config has not decided about %s", request_id)
            return "failed"

    def _verdict(
        self, observed: _Observed, theirs: Decision, unlike: frozenset[bytes]
    ) -> ShadowOutcome:
        ours = Decision(observed.record.route, observed.outcome)
        if isinstance(theirs.outcome, Unavailable) or isinstance(ours.outcome, Unavailable):
            return "failed"  # a server was away, in one of the two
        found = divergence(ours, theirs, unlike)
        if found is None:
            return "alike"
        self._counters.add(SHADOW_DIVERGENCES, f"{ours.route or NO_ROUTE},{found}")
        if self._may_log(ours.route, found):
            self._log_divergence(observed, ours, theirs, found)
        return "different"

    def _may_log(self, route: str, what: str) -> bool:
        """Whether a line is due: the first of its kind, and then one in a while."""
        now_s = time.monotonic()
        last_s = self._logged.get((route, what))
        if last_s is not None and now_s - last_s < _LOG_EVERY_S:
            return False
        self._logged.put((route, what), now_s)
        return True

    def _log_divergence(
        self, observed: _Observed, ours: Decision, theirs: Decision, found: Divergence
    ) -> None:
        _log.warning(
            "%s: %s %s, request %s: %s; by the candidate config %s",
            found,
            observed.head.method,
            observed.record.path or "a target that was refused",
            observed.head.request_id,
            ours.text,
            theirs.text,
        )


async def _close(candidate: CandidateConfig) -> None:
    try:
        await candidate.stack.aclose()
    except Exception:  # noqa: BLE001 (a defect: it decides no more)
        _log.exception("the candidate config was not closed")


@asynccontextmanager
async def shadow_traffic(counters: Counters) -> AsyncIterator[ShadowTraffic]:
    """Run `ShadowTraffic` until the context ends; the candidate that is left is closed."""
    traffic = ShadowTraffic(counters)
    try:
        async with background(traffic.run()):
            yield traffic
    finally:
        await traffic.use(None)


async def _decision(pipeline: RequestPipeline, head: RequestHead) -> Decision:
    record = RequestRecord()
    try:
        admitted = await pipeline.admit(head, record)
        return Decision(record.route, admitted)
    except Refusal as refusal:  # its frames would be a cycle, and keep the head
        return Decision(record.route, refusal.with_traceback(None))


class _ObservedAdmission(Around[Outbound | Reply]):
    """The stages that may have to wait, whose decision is handed on."""

    def __init__(
        self,
        rest: Coroutine[Any, Any, Outbound | Reply],
        note: Callable[[Outbound | Reply | Refusal], None],
    ) -> None:
        super().__init__(rest)
        self._note = note

    def __await__(self) -> Generator[Any, Any, Outbound | Reply]:
        try:
            admitted = yield from self._rest.__await__()
        except Refusal as refusal:
            self._note(refusal)
            raise
        self._note(admitted)
        return admitted
