"""Hands events from the outbox on to the queues of the endpoints that want them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from gateway.core.event import Event, EventType
from gateway.hooks.cloud_event import UnreadableEvent, decode
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.outbox import Outbox, Recorded, Unread
from gateway.hooks.queue import Delivery, DeliveryQueue

AT_ONCE = 200
"""Entries that are handed on in one step."""


_OTHERS: Final = None
_Reader = HookEndpoint | None
"""An endpoint of this config; or `_OTHERS`, those that only other gateways know."""


class _Addressed(NamedTuple):
    event: Event
    raw: bytes
    named: frozenset[str]
    """Endpoints that want it by the config of its recorder."""


class FanOut:
    """
    Moves events to queues, from the cursor of the outbox on.

    Any number of processes may do so at one time: an event that is in a queue is not added again,
    and the cursor is moved by one of them. Where a queue is full, the cursor stays, and what comes
    after it is handed on to the other endpoints.

    While a config is rolled out, a gateway that knows an endpoint which this one does not may have
    recorded an event for it. Its queue is found by the name alone: the event waits there for those
    that know the endpoint.
    """

    def __init__(
        self,
        outbox: Outbox,
        queues: Mapping[HookEndpoint, DeliveryQueue],
        on_added: Callable[[], object] = lambda: None,
        queue_of: Callable[[str], DeliveryQueue] | None = None,
        on_lost: Callable[[EventType], object] = lambda _: None,
    ) -> None:
        """
        Call ``on_added`` when deliveries were added.

        ``queue_of`` returns the queue of an endpoint that others know; ``on_lost`` is called with
        what finds no room there: nothing waits for an endpoint that may never come.
        """
        self._outbox = outbox
        self._queues = queues
        self._on_added = on_added
        self._queue_of = queue_of
        self._on_lost = on_lost
        self._full: Sequence[HookEndpoint] = ()
        """Endpoints without room, for which the cursor stays."""
        self._reached: dict[_Reader, str] = {}
        """The places up to which the others have had all meanwhile."""

    async def step(self) -> bool:
        """
        Hand some events on; return whether more may be waiting.

        Raises `StoreUnavailable`.
        """
        read = await self._outbox.unread(AT_ONCE)
        if not read.events:
            return False
        events = _readable(read.events)
        try:
            # What has no room is asked for alone: the others have had these events, or will have.
            full = await self._add(events, self._full)
            if not full and (full := await self._add(events, self._queues)):
                self._note([each for each in self._queues if each not in full], read)
            self._full = full
            if full:
                return await self._hand_on_ahead(read.cursor)
            for event in await self._add_for_others(events):
                self._on_lost(event.type)
        finally:
            self._on_added()
        await self._outbox.advance(read)
        return len(read.events) == AT_ONCE

    async def _hand_on_ahead(self, cursor: str) -> bool:
        """Hand on what comes after the cursor, to those that have room; the cursor stays."""
        readers: list[_Reader] = [each for each in self._queues if each not in self._full]
        if self._queue_of is not None:
            readers.append(_OTHERS)
        at: dict[str, list[_Reader]] = {}
        for each in readers:
            place = max(cursor, self._reached.get(each, ""), key=_at)
            at.setdefault(place, []).append(each)
        more = [await self._hand_on_after(place, those) for place, those in at.items()]
        return any(more)

    async def _hand_on_after(self, place: str, readers: Sequence[_Reader]) -> bool:
        """Hand on what comes after a place; return whether any had room, and more may follow."""
        read = await self._outbox.unread(AT_ONCE, place)
        if not read.events:
            return False
        events = _readable(read.events)
        full = await self._add(events, [each for each in readers if each is not _OTHERS])
        if _OTHERS in readers:
            await self._add_for_others(events)
        served = [each for each in readers if each not in full]
        self._note(served, read)
        return bool(served) and len(read.events) == AT_ONCE

    def _note(self, readers: Sequence[_Reader], read: Unread) -> None:
        """Note that readers have had what was read."""
        for each in readers:
            self._reached[each] = max(read.events[-1].place, self._reached.get(each, ""), key=_at)

    async def _add(
        self, events: Sequence[_Addressed], to: Iterable[HookEndpoint]
    ) -> list[HookEndpoint]:
        """Add events to the queues of endpoints; return those that had no room for all."""
        full = []
        for endpoint in to:
            wanted = [
                _delivery(event, raw)
                for event, raw, named in events
                if endpoint.wants(event) or endpoint.name in named
            ]
            if wanted and not all(await self._queues[endpoint].add(wanted)):
                full.append(endpoint)
        return full

    async def _add_for_others(self, events: Sequence[_Addressed]) -> list[Event]:
        """
        Add events to the queues of endpoints that their recorders know, and this config not.

        Returns those that found no room.
        """
        if self._queue_of is None:
            return []
        known = {endpoint.name for endpoint in self._queues}
        others = frozenset().union(*(named for *_, named in events)) - known
        lost = []
        for name in sorted(others):
            wanted = [(event, raw) for event, raw, named in events if name in named]
            added = await self._queue_of(name).add([_delivery(*each) for each in wanted])
            lost += [event for (event, _), is_in in zip(wanted, added, strict=True) if not is_in]
        return lost


def _readable(entries: Sequence[Recorded]) -> list[_Addressed]:
    """Return the entries that are events; the stream may hold what others wrote."""
    found = []
    for entry in entries:
        with suppress(UnreadableEvent):
            found.append(_Addressed(decode(entry.event), entry.event, entry.endpoints))
    return found


def _at(place: str) -> tuple[int, ...]:
    """Return what orders places in the stream; "" is before all."""
    return tuple(map(int, place.split("-"))) if place else ()


def _delivery(event: Event, raw: bytes) -> Delivery:
    return Delivery(event.subject, event.id, raw)
