"""
Deliveries of each endpoint that wait in the store, in the order of each person's events.

A worker claims the next delivery of a subject (an issuer) until a lease ends, and ends the claim by
its fence. A worker that died leaves a lease that ends; one that was only slow finds that its fence
is not the latest, and changes nothing. So a delivery is ended once, though it may be sent more than
once: receivers drop repeats by the id of the event, which stays the same.

All keys of an endpoint carry its name as a hash tag, and so are in one slot of a cluster:

- ``hooks:due:{endpoint}`` (sorted set): subjects, by when their next delivery is due or its lease
  ends
- ``hooks:order:{endpoint}`` (sorted set): a subject (its length before it), NUL, and the number of
  a delivery
- ``hooks:events:{endpoint}`` (hash): the events, by number
- ``hooks:known:{endpoint}`` (sorted set): ids of events that were added, for two days
- ``hooks:counters:{endpoint}`` (hash): the latest number and fence
- ``hooks:fences:{endpoint}`` (hash): the fence of each claimed subject
- ``hooks:attempts:{endpoint}`` (hash): what is noted of failed attempts, by number
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple, cast

from gateway.core.lua import lua_source
from gateway.core.ports import Script, Store
from gateway.core.replies import are_counts, is_count, is_texts

MAX_WAITING: Final = 1_000_000
"""Deliveries of one endpoint that wait at a time."""
KNOWN_MS: Final = 2 * 24 * 3600 * 1000
"""How long an event that was added is known: longer than it may wait in the outbox."""

_PARTS: Final = ("due", "order", "events", "known", "counters", "fences", "attempts")
_FIELDS: Final = 5
"""Members of the reply for each claim."""
_NOTED: Final = re.compile(rb"(\d{1,6}) (\d{1,15}) (.*)", re.DOTALL)

ADD: Final = lua_source("gateway.hooks", "queue_add")
CLAIM: Final = Script.packaged("gateway.hooks", "queue_claim", is_texts)
END: Final = Script.packaged("gateway.hooks", "queue_end", is_count)


def keys_of(endpoint: str) -> list[str]:
    """Return the keys of an endpoint, in the order in which scripts take them."""
    return [f"hooks:{part}:{{{endpoint}}}" for part in _PARTS]


class Delivery(NamedTuple):
    """A delivery to be added: an event, by its subject and id."""

    subject: str
    event_id: str
    event: bytes


class Attempts(NamedTuple):
    """Failed attempts of one delivery."""

    made: int = 0
    first_ms: int = 0
    """When the first was made, in Unix milliseconds."""
    last: str = ""
    """What came of the last, in a word."""


class Claim(NamedTuple):
    """The next delivery of a subject, for the holder of the fence."""

    subject: str
    fence: int
    number: str
    event: bytes
    attempts: Attempts


class DeliveryQueue:
    """The deliveries of one endpoint. Every method raises `StoreUnavailable`."""

    def __init__(self, store: Store, endpoint: str, max_waiting: int = MAX_WAITING) -> None:
        self._store = store
        self._keys = keys_of(endpoint)
        self._max_waiting = max_waiting

    async def add(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """
        Add deliveries; tell of each whether it is there: False where there was no room.

        One that was added before is not added again.
        """
        return await self._add(deliveries, "")

    async def add_again(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Like `add`, also for those that were added before: dead letters that are replayed."""
        return await self._add(deliveries, "again")

    async def _add(self, deliveries: Sequence[Delivery], manner: str) -> list[bool]:
        args: list[str | int | bytes] = [self._max_waiting, KNOWN_MS, manner]
        for delivery in deliveries:
            args += delivery
        script = Script("queue_add", ADD, partial(are_counts, len(deliveries)))
        reply = cast("list[int]", await self._store.run(script, self._keys, args))
        return [told >= 0 for told in reply]

    async def claim(self, lease_ms: int, most: int) -> list[Claim]:
        """Claim the next delivery of subjects that are due, ``most`` of them at most."""
        reply = cast("list[bytes]", await self._store.run(CLAIM, self._keys, [lease_ms, most]))
        columns = [reply[at::_FIELDS] for at in range(_FIELDS)]
        return [
            Claim(subject.decode(), int(fence), number.decode(), event, read_attempts(attempts))
            for subject, fence, number, event, attempts in zip(*columns, strict=True)
            if _is_text(subject)
        ]

    async def delivered(self, claim: Claim) -> bool:
        """Take the delivery away; False where another has claimed it since."""
        return await self._end(claim, "", 0)

    async def failed(self, claim: Claim, attempts: Attempts, wait_ms: int) -> bool:
        """Leave the delivery for later; False where another has claimed it since."""
        return await self._end(claim, _written(attempts), wait_ms)

    async def _end(self, claim: Claim, noted: str, wait_ms: int) -> bool:
        args = claim.subject, str(claim.fence), claim.number, noted, wait_ms
        return await self._store.run(END, self._keys, args) == 1


def _written(attempts: Attempts) -> str:
    return f"{attempts.made} {attempts.first_ms} {attempts.last}"


def read_attempts(noted: bytes) -> Attempts:
    """Return what is noted of a delivery; what is no note of ours counts for none."""
    found = _NOTED.fullmatch(noted)
    if found is None:
        return Attempts()
    made, first_ms, last = found.groups()
    return Attempts(int(made), int(first_ms), last.decode(errors="replace"))


def _is_text(name: bytes) -> bool:
    """Whether it is what we write; the keys may hold what others wrote."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
