"""What waits for endpoints, what was given up, and where the deliveries of an event are."""

from typing import Any, NamedTuple

import orjson

from gateway.config.schema import Settings
from gateway.core.ports import Store
from gateway.hooks.dead_letters import DeadLetter, DeadLetters
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.outbox_view import find_recorded
from gateway.hooks.queue_view import QueueState, QueueView, WaitingDelivery
from gateway.runtime.services.hooks import endpoints
from gateway.runtime.services.store import shared_store

_NOTHING = QueueState(0, 0, None)


class EndpointStatus(NamedTuple):
    """An endpoint, and what waits for it."""

    name: str
    endpoint: HookEndpoint | None
    """None where the config has it no more."""
    state: QueueState
    dead: int
    trimmed: int
    """Dead letters that had to go, as there was no room."""


class EventStatus(NamedTuple):
    """An event, and its deliveries."""

    event: dict[str, Any] | None
    """As JSON; None where a dead letter is no event."""
    waiting: list[tuple[str, WaitingDelivery]]
    """With the name of the endpoint."""
    dead: list[DeadLetter]


async def all_statuses(settings: Settings) -> list[EndpointStatus]:
    """Look at all endpoints. Raises `StoreUnavailable`."""
    known = {endpoint.name: endpoint for endpoint in endpoints(settings)}
    async with shared_store(settings) as (store, _):
        dead = await DeadLetters(store, settings.redis.prefix).counts()
        found = []
        for name in [*known, *sorted((dead.kept | dead.trimmed).keys() - known.keys())]:
            state = await QueueView(store, name).state() if name in known else _NOTHING
            kept, trimmed = dead.kept.get(name, 0), dead.trimmed.get(name, 0)
            found.append(EndpointStatus(name, known.get(name), state, kept, trimmed))
        return found


async def status_of(settings: Settings, event_id: str) -> EventStatus | None:
    """Look for an event; None where there is none. Raises `StoreUnavailable`."""
    async with shared_store(settings) as (store, _):
        waiting = [
            (endpoint.name, each)
            for endpoint in endpoints(settings)
            for each in await QueueView(store, endpoint.name).find(event_id)
        ]
        letters = DeadLetters(store, settings.redis.prefix).letters(event_id=event_id)
        dead = [letter async for letter in letters]
        raw = await _event(store, event_id, waiting, dead)
    if raw is None and not dead:
        return None
    return EventStatus(raw, waiting, dead)


async def _event(
    store: Store,
    event_id: str,
    waiting: list[tuple[str, WaitingDelivery]],
    dead: list[DeadLetter],
) -> dict[str, Any] | None:
    """Return the event as JSON, wherever it is."""
    found = [each.raw for _, each in waiting] + [letter.event for letter in dead]
    raw = found[0] if found else await find_recorded(store, event_id)
    try:
        members = orjson.loads(raw or b"")
    except orjson.JSONDecodeError:
        return None
    return members if isinstance(members, dict) else None
