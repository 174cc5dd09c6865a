"""Build what tells other systems of logins: endpoints, outbox, queues, and what delivers."""

import logging
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from gateway.config.schema import Settings
from gateway.core.errors import DeniedByLimit, Forbidden, RateLimited, Refusal
from gateway.core.event import EventType
from gateway.core.event_ports import Events
from gateway.core.handling import RefusalsTold
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Store
from gateway.core.record import RequestRecord
from gateway.hooks.attempts import Verdict
from gateway.hooks.courier import Courier
from gateway.hooks.dead_letters import DeadLetters
from gateway.hooks.delivery import POLL_S, AttemptOutcome, Deliveries
from gateway.hooks.destination import Destinations
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.fan_out import FanOut
from gateway.hooks.first_login import FirstLogins
from gateway.hooks.in_process import InProcessSender, in_process_endpoint, load_hook
from gateway.hooks.outbox import Outbox
from gateway.hooks.queue import DeliveryQueue
from gateway.hooks.recorder import EventRecorder, Heard
from gateway.hooks.sender import Sender
from gateway.hooks.signature import Signer
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.confirm import confirming_store
from gateway.runtime.services.store import SharedStore, reads_lag
from gateway.telemetry.metrics import (
    FIRST_LOGINS_REFUSED,
    HOOK_DELIVERIES,
    HOOK_EVENTS,
    HOOK_EVENTS_LOST,
    DeliveryOutcome,
)

REST_POLL_S = 30.0
"""How often a REST API is asked, which takes a paid request each time."""

_OUTCOMES: Mapping[Verdict, DeliveryOutcome] = {
    Verdict.DELIVERED: "delivered",
    Verdict.RETRY: "failed",
    Verdict.DEAD: "dead",
}

_log = logging.getLogger("gateway.hooks")


class HookServices(NamedTuple):
    """What one config says of webhooks, ready to serve."""

    recorder: EventRecorder
    first_logins: FirstLogins
    courier: Courier


def endpoints(settings: Settings) -> list[HookEndpoint]:
    """Return the endpoints of the config: webhooks, then functions that run in the gateway."""
    webhooks = [
        HookEndpoint(
            each.name, each.url, Signer(each.all_secrets), frozenset(each.events), each.wait
        )
        for each in settings.hooks.all_endpoints
    ]
    functions = [
        in_process_endpoint(each.name, frozenset(each.events), is_awaited=each.wait)
        for each in settings.hooks.functions
    ]
    return webhooks + functions


def function(settings: Settings, name: str) -> InProcessSender:
    """Load a function of the config. Raises `StartError` where no package offers it."""
    return InProcessSender(name, load_hook(name), settings.hooks.timeout_s)


def outbox(settings: Settings, store: Store, confirming: Store | None = None) -> Outbox:
    """Return the outbox of the store; see `Outbox` for ``confirming``."""
    return Outbox(store, settings.redis.prefix, confirming=confirming)


def queue(store: Store, endpoint: HookEndpoint) -> DeliveryQueue:
    """Return the queue of an endpoint."""
    return DeliveryQueue(store, endpoint.name)


def recorder(settings: Settings, recorded: Outbox, heard: Heard | None = None) -> EventRecorder:
    """Return what records the events that the endpoints of the config want."""
    origin, named = settings.server.public_url, _named(settings)
    return EventRecorder(recorded, origin, frozenset(named), heard or Heard(), endpoints=named)


def wanted_events(settings: Settings) -> frozenset[EventType]:
    """Return the kinds of events that any endpoint of the config wants."""
    return frozenset().union(*(each.events for each in endpoints(settings)))


def _named(settings: Settings) -> dict[EventType, str]:
    """Return the names of the endpoints that want each kind of events."""
    found, wanted = endpoints(settings), wanted_events(settings)
    return {kind: ",".join(each.name for each in found if kind in each.events) for kind in wanted}


@asynccontextmanager
async def hook_services(
    settings: Settings, process: ProcessServices
) -> AsyncIterator[HookServices]:
    """Build them; nothing is delivered before ``courier.start``. Attempts end with the context."""
    found, store = endpoints(settings), process.store
    first_logins = _first_logins(found, store)
    async with (
        _sender(settings) as sender,
        confirming_store(settings, process.wire.counters) as confirming,
    ):
        recorded = outbox(settings, store, confirming)  # one: what it has written, it moves
        to_queues = confirming if confirming and recorded.spans_nodes else store
        courier = _courier(settings, process, found, first_logins, sender, recorded, to_queues)
        heard = _heard(process, courier, _awaited(found))
        recording = recorder(settings, recorded, heard)
        deaf = process.bus.on(InvalidationKind.HOOKS, lambda _: courier.wake_all())
        try:
            yield HookServices(recording, first_logins, courier)
        finally:
            deaf()
            await recording.aclose()
            await courier.aclose()


@asynccontextmanager
async def telling(settings: Settings, shared: SharedStore) -> AsyncIterator[EventRecorder]:
    """Build what records the events of a command; gateways hear at the end if there are any."""
    told: list[EventType] = []
    changes = recorder(settings, outbox(settings, shared.store), Heard(recorded=told.append))
    try:
        yield changes
    finally:
        await changes.aclose()
        if told:
            await shared.bus.publish(InvalidationKind.HOOKS, "recorded")


def told_refusals(settings: Settings, events: Events) -> RefusalsTold:
    """Return what is called with refusals of which endpoints hear, by their kind."""
    wanted = wanted_events(settings)
    told = {
        Forbidden: EventType.DENIED,
        DeniedByLimit: EventType.DENIED,
        RateLimited: EventType.LIMIT_EXCEEDED,
    }
    return {
        refusal: partial(_tell, events, kind) for refusal, kind in told.items() if kind in wanted
    }


def _tell(events: Events, kind: EventType, refusal: Refusal, record: RequestRecord) -> None:
    data = {
        "reason": refusal.reason,
        "route": record.route,
        "ip": record.client or None,
        "code": record.refusal,
    }
    events.sample(kind, record.issuer or record.client or "unknown", data)


def _sender(settings: Settings) -> Sender:
    hooks = settings.hooks
    return Sender(Destinations(hooks.allow_private), hooks.timeout_s)


def _first_logins(found: list[HookEndpoint], store: Store) -> FirstLogins:
    of_first = [each for each in found if EventType.FIRST_LOGIN in each.events]
    awaited = [each.name for each in of_first if each.is_awaited]
    owner = f"{socket.gethostname()}:{os.getpid()}"
    return FirstLogins(store, [each.name for each in of_first], awaited, owner)


def _courier(
    settings: Settings,
    process: ProcessServices,
    found: list[HookEndpoint],
    first_logins: FirstLogins,
    sender: Sender,
    recorded: Outbox,
    to_queues: Store,
) -> Courier:
    store, prefix = process.store, settings.redis.prefix
    queues = {endpoint: queue(store, endpoint) for endpoint in found}
    functions = {each.name: function(settings, each.name) for each in settings.hooks.functions}
    dead = DeadLetters(store, prefix)
    deliveries = [
        Deliveries(
            endpoint,
            waiting,
            functions.get(endpoint.name, sender),
            dead.keep,
            settings.hooks.timeout_s,
            partial(_note_attempt, process, endpoint.place),
            first_logins=first_logins,
        )
        for endpoint, waiting in queues.items()
    ]
    adding = {endpoint: queue(to_queues, endpoint) for endpoint in found}
    poll_s = REST_POLL_S if reads_lag(settings) else POLL_S

    def wake() -> None:
        for each in deliveries:
            each.wake()

    lost = partial(process.wire.counters.add, HOOK_EVENTS_LOST)
    fan_out = FanOut(recorded, adding, wake, partial(DeliveryQueue, to_queues), lost)
    return Courier(recorded, fan_out, deliveries, poll_s)


def _awaited(found: list[HookEndpoint]) -> frozenset[EventType]:
    """Return the kinds of events that a login waits for."""
    is_awaited = any(each.is_awaited and EventType.FIRST_LOGIN in each.events for each in found)
    return frozenset({EventType.FIRST_LOGIN} if is_awaited else ())


def _heard(process: ProcessServices, courier: Courier, awaited: frozenset[EventType]) -> Heard:
    counters = process.wire.counters

    def recorded(kind: EventType) -> None:
        counters.add(HOOK_EVENTS, kind)
        (courier.wake if kind in awaited else courier.wake_soon)()

    return Heard(
        recorded,
        partial(counters.add, HOOK_EVENTS_LOST),
        counters.events(FIRST_LOGINS_REFUSED),
    )


def _note_attempt(process: ProcessServices, place: str, done: AttemptOutcome) -> None:
    outcome = _OUTCOMES[done.verdict]
    process.wire.counters.add(HOOK_DELIVERIES, f"{done.endpoint},{outcome}")
    level = logging.INFO if done.verdict is Verdict.DELIVERED else logging.WARNING
    _log.log(
        level,
        "hook %s: %s %s %s at %s, attempt %d, %d ms: %s",
        done.endpoint,
        done.event_type,
        done.event_id,
        outcome,
        place,
        done.attempt,
        done.took_s * 1000,
        done.reason,
    )
