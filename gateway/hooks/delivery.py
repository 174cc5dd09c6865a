"""Delivers the events of one endpoint: claims, sends, and notes what came of it."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from gateway.core.errors import StoreUnavailable
from gateway.core.event import Event, EventType
from gateway.core.ports import Clock
from gateway.hooks.attempts import HookAnswer, Verdict, next_attempt_s, verdict
from gateway.hooks.cloud_event import UnreadableEvent, decode
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.first_login import FirstLogins, Holder, MarkerState
from gateway.hooks.queue import Attempts, Claim, DeliveryQueue
from gateway.hooks.sender import Post
from gateway.util.circuit_breaker import CircuitBreaker

AT_ONCE = 8
"""Deliveries of one endpoint under way at a time, in each process."""
POLL_S = 1.0
"""How often the queue is asked where nothing has woken it."""
_FAILURES, _PAUSE_S = 5, 10.0
"""After so many failures in a row, an endpoint is tried once in each pause."""
_MARGIN_S = 5.0
"""A lease is longer than the time-out of an attempt by this: the answer has to be noted, too."""

_log = logging.getLogger(__name__)

Buried = Callable[[HookEndpoint, Claim, Attempts], Awaitable[None]]
"""Keeps a delivery that is given up, among the dead letters."""


class Sends(Protocol):
    """Makes one attempt: a `gateway.hooks.sender.Sender`."""

    async def send(self, post: Post) -> HookAnswer:
        """Return what came of it; raises nothing but a cancellation."""


class AttemptOutcome(NamedTuple):
    """What became of one attempt, for metrics and log."""

    endpoint: str
    event_type: str
    verdict: Verdict
    reason: str
    event_id: str = ""
    attempt: int = 1
    took_s: float = 0.0


class Deliveries:
    """
    Delivers the events of one endpoint until cancelled.

    Those of one person go in order, one at a time; those of several at the same time, `AT_ONCE` at
    most. After failures in a row the endpoint is left alone for a while. How far the event of a
    first sign-in is, the marker of its person says.
    """

    def __init__(
        self,
        endpoint: HookEndpoint,
        queue: DeliveryQueue,
        sender: Sends,
        bury: Buried,
        timeout_s: float,
        on_attempt: Callable[[AttemptOutcome], object] = lambda _: None,
        clock: Clock = time.time,
        share: Callable[[], float] = random.random,
        first_logins: FirstLogins | None = None,
    ) -> None:
        """``share`` in [0, 1) sets the jitter of waits; ``timeout_s`` is that of an attempt."""
        self._endpoint = endpoint
        self._queue = queue
        self._sender = sender
        self._bury = bury
        self._lease_ms = int((timeout_s + _MARGIN_S) * 1000)
        self._on_attempt = on_attempt
        self._clock = clock
        self._share = share
        self._breaker = CircuitBreaker(_FAILURES, _PAUSE_S)
        self._woken = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._first_logins = first_logins
        self._is_stopping = False

    def wake(self) -> None:
        """Look into the queue at once: something was added."""
        self._woken.set()

    def stop(self) -> None:
        """Begin no more attempts; `run` ends when those that are under way have ended."""
        self._is_stopping = True
        self.wake()

    async def run(self, poll_s: float = POLL_S) -> None:
        """Deliver until stopped; if cancelled, attempts that are under way are cancelled, too."""
        try:
            while not self._is_stopping:
                if not await self._start_some():
                    await self._wait(poll_s)
            while self._under_way:
                await asyncio.wait(self._under_way)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _wait(self, poll_s: float) -> None:
        try:
            async with asyncio.timeout(poll_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _start_some(self) -> bool:
        """Claim what is due, as far as there is room; return whether that was anything."""
        most = AT_ONCE - len(self._under_way)
        if not self._breaker.is_closed:
            most = min(most, 1)
        if most <= 0 or self._breaker.wait_s(self._clock()):
            return False
        try:
            claims = await self._queue.claim(self._lease_ms, most)
        except StoreUnavailable:
            return False
        if claims:
            self._breaker.admit(self._clock())  # not before: a look at an empty queue is no trial
        for claim in claims:
            task = asyncio.get_running_loop().create_task(self._deliver(claim))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            task.add_done_callback(lambda _: self.wake())
        return bool(claims)

    async def _deliver(self, claim: Claim) -> None:
        """Make one attempt, and note what came of it."""
        try:
            event = decode(claim.event)
        except UnreadableEvent:
            await self._give_up(claim, claim.attempts._replace(last="no event"))
            return
        await self._mark(event, claim, "running")
        began_s = time.perf_counter()
        fields = self._endpoint.signer.fields(event.id, self._clock(), claim.event)
        answer = await self._send(Post(self._endpoint.url, fields, claim.event))
        took_s = time.perf_counter() - began_s
        if verdict(answer) is Verdict.DELIVERED:
            await self._mark(event, claim, "done")  # first: what is left is delivered again
        judged = await self._note(claim, answer)
        if judged is not Verdict.DELIVERED:
            await self._mark(event, claim, "dead" if judged is Verdict.DEAD else "pending")
        self._on_attempt(
            AttemptOutcome(
                self._endpoint.name,
                event.type,
                judged,
                answer.reason,
                event.id,
                claim.attempts.made + 1,
                took_s,
            )
        )

    async def _send(self, post: Post) -> HookAnswer:
        """Make one attempt; an error, which is a bug, is a failed one: the others wait for it."""
        try:
            return await self._sender.send(post)
        except Exception as error:  # noqa: BLE001 (its people would wait for ever, unseen)
            _log.exception("an attempt at %s was interrupted", self._endpoint.name)
            return HookAnswer(0, type(error).__name__)

    async def _mark(self, event: Event, claim: Claim, state: MarkerState) -> None:
        """Note in the marker how far the event of a first sign-in is."""
        if self._first_logins is not None and event.type is EventType.FIRST_LOGIN:
            holder = Holder(event.subject, event.id, self._endpoint.name, claim.fence)
            await _noted(self._first_logins.note(holder, state, self._lease_ms))

    async def _note(self, claim: Claim, answer: HookAnswer) -> Verdict:
        now_s, judged = self._clock(), verdict(answer)
        if judged is Verdict.DELIVERED:
            self._breaker.succeeded()
            await _noted(self._queue.delivered(claim))
            return judged
        self._breaker.failed(now_s, answer.retry_after_s)
        first_ms = claim.attempts.first_ms or int(now_s * 1000)
        attempts = Attempts(claim.attempts.made + 1, first_ms, answer.reason)
        at_s = next_attempt_s(
            attempts.made, first_ms / 1000, now_s, answer.retry_after_s, self._share()
        )
        if judged is Verdict.DEAD or at_s is None:
            await self._give_up(claim, attempts)
            return Verdict.DEAD
        await _noted(self._queue.failed(claim, attempts, int((at_s - now_s) * 1000)))
        asyncio.get_running_loop().call_later(at_s - now_s, self.wake)
        return judged

    async def _give_up(self, claim: Claim, attempts: Attempts) -> None:
        """Keep the delivery among the dead letters first: a repeat is better than a loss."""
        try:
            await self._bury(self._endpoint, claim, attempts)
            await self._queue.delivered(claim)
        except StoreUnavailable:
            _log.warning("a delivery to %s could not be given up yet", self._endpoint.name)


async def _noted(noting: Awaitable[bool]) -> None:
    """Note an outcome; where the store is away, the lease ends and the delivery is repeated."""
    try:
        await noting
    except StoreUnavailable:
        _log.warning("what came of a delivery could not be noted: it will be repeated")
