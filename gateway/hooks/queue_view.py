"""What an operator sees of the deliveries of one endpoint; nothing is changed."""

from typing import Final, NamedTuple, cast

from gateway.core.event import Event
from gateway.core.ports import Script, Store
from gateway.core.replies import is_texts
from gateway.hooks.cloud_event import UnreadableEvent, decode
from gateway.hooks.queue import Attempts, keys_of, read_attempts
from gateway.util.rfc3339 import LAST_MS

_PAGE: Final = 1000
"""Deliveries that one script looks at: it holds the store up for a few milliseconds."""
_FIELDS: Final = 3

STATE: Final = Script.packaged("gateway.hooks", "queue_state", is_texts)
FIND: Final = Script.packaged("gateway.hooks", "queue_find", is_texts)


class QueueState(NamedTuple):
    """How much waits for one endpoint."""

    waiting: int
    due: int
    """Subjects, the next delivery of which is due; one that is under way is not."""
    oldest_ms: int | None
    """When the oldest event that waits was recorded; None where none waits."""


class WaitingDelivery(NamedTuple):
    """A delivery that waits, or is under way."""

    event: Event
    raw: bytes
    """The event, as it is sent."""
    attempts: Attempts
    due_ms: int
    """When the next delivery of its subject is due, or the lease ends of one that is under way."""


class QueueView:
    """Looks at the queue of one endpoint. Every method raises `StoreUnavailable`."""

    def __init__(self, store: Store, endpoint: str, page: int = _PAGE) -> None:
        self._store = store
        self._keys = keys_of(endpoint)
        self._page = page

    async def state(self) -> QueueState:
        """Count what waits. The oldest is looked for among all: for operators, who can wait."""
        last, found = b"", list[tuple[bytes, bytes]]()
        while True:
            reply = await self._run(STATE, last)
            last, waiting, due, *oldest = reply
            found.append((oldest[0], oldest[1]))
            if not last:
                break
        event = _event(min((pair for pair in found if pair[1]), default=(b"", b""))[1])
        return QueueState(int(waiting), int(due), None if event is None else event.time_ms)

    async def find(self, event_id: str) -> list[WaitingDelivery]:
        """Return the deliveries of an event that wait: one, or none, unless it was replayed."""
        found: list[WaitingDelivery] = []
        last = b""
        while True:
            last, *rest = await self._run(FIND, last, event_id)
            columns = [rest[at::_FIELDS] for at in range(_FIELDS)]
            for raw, attempts, due in zip(*columns, strict=True):
                event = _event(raw)
                if event is not None and event.id == event_id:
                    due_ms = int(min(max(float(due or 0), 0), LAST_MS))
                    found.append(WaitingDelivery(event, raw, read_attempts(attempts), due_ms))
            if not last:
                return found

    async def _run(self, script: Script, last: bytes, *args: str) -> list[bytes]:
        given: list[str | int | bytes] = [last, self._page, *args]
        return cast("list[bytes]", await self._store.run(script, self._keys, given))


def _event(raw: bytes) -> Event | None:
    try:
        return decode(raw)
    except UnreadableEvent:
        return None
