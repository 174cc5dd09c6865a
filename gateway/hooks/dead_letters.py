"""
Dead letters: deliveries that were given up, kept until an operator replays or drops them.

- ``hooks:dead`` (stream): the letters, the oldest first; each has the event, the endpoint, the
  event's id, how many attempts were made, what came of the last, and when it was given up (Unix
  time in milliseconds)
- ``hooks:dead:places:{…}`` (hash): where each is in the stream, by endpoint and id: an event is
  there once for each endpoint
- ``hooks:dead:counters:{…}`` (hash): how many there are of each endpoint, and how many went because
  there was no room
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, cast

from gateway.core.ports import Script, Store
from gateway.core.replies import is_count, is_pairs, is_texts
from gateway.hooks.cloud_event import UnreadableEvent, decode
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.queue import Attempts, Claim, Delivery, DeliveryQueue

STREAM: Final = "hooks:dead"
MAX_LETTERS: Final = 100_000
"""Letters that are kept at most, of all endpoints."""

_PAGE: Final = 200
_FIELDS: Final = 7
"""Members of the reply for each letter."""
_MAX_DIGITS: Final = 14
"""Of a time until the year 5138, in milliseconds."""
_KEPT, _TRIMMED = "kept ", "trimmed "

KEEP: Final = Script.packaged("gateway.hooks", "dead_keep", is_count)
READ: Final = Script.packaged("gateway.hooks", "dead_read", is_texts)
DROP: Final = Script.packaged("gateway.hooks", "dead_drop", is_count)
COUNTS: Final = Script.packaged("gateway.hooks", "dead_counts", is_pairs)


class DeadLetter(NamedTuple):
    """A delivery that was given up."""

    place: str
    """Its id in the stream."""
    event: bytes
    endpoint: str
    event_id: str
    attempts: int
    last: str
    """What came of the last attempt, in a word."""
    at_ms: int


class DeadCounts(NamedTuple):
    """How many letters there are of each endpoint, and how many went for want of room."""

    kept: dict[str, int]
    trimmed: dict[str, int]


class DeadLetters:
    """
    The dead letters of one store. Every method raises `StoreUnavailable`.

    ``prefix`` is that of the store's keys: as with the outbox, the name of the stream is the hash
    tag of the other keys.
    """

    def __init__(self, store: Store, prefix: str, max_letters: int = MAX_LETTERS) -> None:
        self._store = store
        tag = f"{{{prefix}{STREAM}}}"
        self._keys = [STREAM, f"{STREAM}:places:{tag}", f"{STREAM}:counters:{tag}"]
        self._max_letters = max_letters

    async def keep(self, endpoint: HookEndpoint, claim: Claim, attempts: Attempts) -> None:
        """Keep a delivery that is given up; one that is there already is replaced."""
        event_id = _id_of(claim)
        args = self._max_letters, endpoint.name, event_id, claim.event, attempts.made, attempts.last
        await self._store.run(KEEP, self._keys, args)

    async def counts(self) -> DeadCounts:
        """Count the letters of each endpoint that has or had any."""
        reply = cast("list[bytes]", await self._store.run(COUNTS, self._keys, []))
        counted = {
            name.decode(): int(number)
            for name, number in zip(reply[::2], reply[1::2], strict=True)
            if int(number)
        }
        return DeadCounts(_of(counted, _KEPT), _of(counted, _TRIMMED))

    async def letters(
        self, endpoint: str | None = None, event_id: str | None = None
    ) -> AsyncIterator[DeadLetter]:
        """Yield the letters of an endpoint and of an event, the oldest first."""
        after = ""
        while page := await self._page(after):
            for fields in page:
                letter = _letter(*fields)
                if letter is None:
                    continue
                if endpoint in (None, letter.endpoint) and event_id in (None, letter.event_id):
                    yield letter
            after = page[-1][0].decode()

    async def _page(self, after: str) -> list[tuple[bytes, ...]]:
        reply = cast("list[bytes]", await self._store.run(READ, self._keys, [after, _PAGE]))
        columns = [reply[at::_FIELDS] for at in range(_FIELDS)]
        return list(zip(*columns, strict=True))

    async def drop(self, letters: Sequence[DeadLetter]) -> int:
        """Drop letters; return how many were there, as they were read."""
        return await self._drop([letter.place for letter in letters]) if letters else 0

    async def _drop(self, places: Sequence[str]) -> int:
        return cast("int", await self._store.run(DROP, self._keys, places))

    async def replay(self, letters: Sequence[DeadLetter], queue: DeliveryQueue) -> list[DeadLetter]:
        """
        Put letters of one endpoint back into its queue, behind what waits there; return them.

        They are tried for a day again. Those for which the queue has no room stay dead letters.
        Each is added before it is dropped: a repeat is better than a loss.
        """
        if not letters:
            return []
        deliveries = [
            Delivery(_subject_of(letter), letter.event_id, letter.event) for letter in letters
        ]
        added = await queue.add_again(deliveries)
        taken = [letter for letter, is_added in zip(letters, added, strict=True) if is_added]
        await self.drop(taken)
        return taken


def _of(counted: dict[str, int], start: str) -> dict[str, int]:
    return {
        name.removeprefix(start): number
        for name, number in counted.items()
        if name.startswith(start)
    }


def _letter(*fields: bytes) -> DeadLetter | None:
    """Return a letter; None for an entry that others wrote."""
    place, event, endpoint, event_id, attempts, last, at_ms = fields
    if not (attempts.isdigit() and at_ms.isdigit() and len(attempts) <= len(at_ms) <= _MAX_DIGITS):
        return None
    try:
        return DeadLetter(
            place.decode(),
            event,
            endpoint.decode(),
            event_id.decode(),
            int(attempts),
            last.decode(),
            int(at_ms),
        )
    except UnicodeDecodeError:
        return None


def _id_of(claim: Claim) -> str:
    """Return the id of a claimed event; of what is no event, its number in the queue."""
    try:
        return decode(claim.event).id
    except UnreadableEvent:
        return f"unreadable-{claim.number}"


def _subject_of(letter: DeadLetter) -> str:
    try:
        return decode(letter.event).subject
    except UnreadableEvent:
        return letter.event_id
