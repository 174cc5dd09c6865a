"""A gateway that dies at any step between a first sign-in and the end of its delivery."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import fakeredis
import pytest

from gateway.core.errors import TokenAlreadyUsed
from gateway.core.event import EventType
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.ports import Script
from gateway.hooks.cloud_event import decode
from gateway.hooks.dead_letters import DeadLetters
from gateway.hooks.delivery import Deliveries
from gateway.hooks.fan_out import FanOut
from gateway.hooks.first_login import FirstLogins
from gateway.hooks.outbox import Outbox
from gateway.hooks.queue import DeliveryQueue
from gateway.hooks.recorder import EventRecorder
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from gateway.store.redis import RedisStore
from tests.contract.test_outbox import Entries
from tests.fakes.hooks import ADA, SOURCE, FakeSender, endpoint

NO_LEASE_S = -5.0
"""As the time-out of attempts: a lease ends at once, so that a test need not wait for it."""
STEPS = (
    ("login", 1),
    ("outbox_read", 1),
    ("queue_add", 1),
    ("outbox_advance", 1),
    ("queue_claim", 1),
    ("first_login", 1),  # running
    ("first_login", 2),  # done
    ("queue_end", 1),
)
"""The scripts that a gateway runs on the way, and which call of each."""
POINTS = [(*step, when) for step in STEPS for when in ("before", "after")]


class Died(BaseException):
    """The end of a process: nothing catches it."""


class MortalStore(RedisStore):
    """Dies before a step, or after it: then the process does not live to see the reply."""

    point: tuple[str, int, str] | None = None

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        if self.point is None or script.name != self.point[0]:
            return super().run(script, keys, args)
        name, left, when = self.point
        if left > 1:
            self.point = name, left - 1, when
            return super().run(script, keys, args)
        running = None if when == "before" else super().run(script, keys, args)

        async def dying() -> object:
            if running is not None:
                await running
            raise Died

        return dying()


class Worker:
    """A gateway of one endpoint over the store of all."""

    def __init__(self, server: fakeredis.FakeServer, receiver: FakeSender) -> None:
        self.client = fakeredis.FakeAsyncRedis(server=server)
        self.store = MortalStore(self.client, "gw:", 2)
        self.outbox = Outbox(self.store, "gw:")
        wanted = frozenset({EventType.FIRST_LOGIN})
        recorder = EventRecorder(self.outbox, SOURCE, wanted)
        self.sessions = RedisSessions(self.store, Sealer([b"k" * 32]), sign_ins=recorder)
        queue = DeliveryQueue(self.store, "crm")
        self.fan_out = FanOut(self.outbox, {endpoint(): queue})
        self.deliveries = Deliveries(
            endpoint(),
            queue,
            receiver,
            DeadLetters(self.store, "gw:").keep,
            NO_LEASE_S,
            first_logins=FirstLogins(self.store, ["crm"], ["crm"], "host:1"),
        )

    async def sign_in(self, token: str) -> None:
        ends_ms = 4_000_000_000_000
        await self.sessions.create(Identity(User(ADA), AuthMethod.DID_TOKEN, token, ends_ms))

    async def live(self) -> None:
        """Do all that is to be done, from the sign-in on."""
        await self.sign_in("t1")
        await self.deliver()

    async def deliver(self) -> None:
        """Hand on and deliver what there is."""
        while await self.fan_out.step():
            pass
        while await self.deliveries._start_some():
            for outcome in await asyncio.gather(
                *self.deliveries._under_way, return_exceptions=True
            ):
                if isinstance(outcome, BaseException):
                    raise outcome


@pytest.fixture
async def workers() -> AsyncIterator[tuple[Worker, Worker, FakeSender]]:
    server, receiver = fakeredis.FakeServer(), FakeSender()
    first, second = Worker(server, receiver), Worker(server, receiver)
    yield first, second, receiver
    await first.store.aclose()
    await second.store.aclose()


@pytest.mark.parametrize("point", POINTS, ids=lambda point: "-".join(map(str, point)))
async def test_a_crash_loses_nothing_and_makes_nothing_twice(
    workers: tuple[Worker, Worker, FakeSender], point: tuple[str, int, str]
) -> None:
    """One event, delivered at least once by one id; then the marker is done."""
    mortal, other, receiver = workers
    mortal.store.point = point
    with pytest.raises(Died):
        await mortal.live()
    try:
        await other.sign_in("t1")  # the browser tries again
    except TokenAlreadyUsed:
        await other.sign_in("t2")
    await other.deliver()

    entries = cast("Entries", await other.client.xrange("gw:hooks"))
    [event] = [decode(fields[b"event"]) for _, fields in entries]
    assert (EventType.FIRST_LOGIN, ADA) == (event.type, event.subject)
    assert {event.id} == set(receiver.sent)
    assert len(receiver.sent) <= 2
    marker = await other.client.hgetall(f"gw:first-login:{ADA}")
    assert {b"state": b"done", b"event": event.id.encode()} == marker
