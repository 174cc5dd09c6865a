"""
Outboxes of single persons: for a store in which one script cannot reach all keys, a Redis Cluster.

There the events of a sign-in are written beside the marker of the person, in its slot, and those
of another change beside its key. They are moved to the stream of all afterwards. Where they are is
registered before, so that what a gateway has written and not moved, as it died, is moved by
another. Each event is moved once: by its id.

- ``outbox:{first-login:issuer}`` (stream): the events of one person
- ``outbox:{revoked:issuer}``, ``outbox:{session:…}`` (stream): events of changes of that key
- ``outboxes:{hooks}`` (sorted set): registrations (the mark of a token or another unique name,
  NUL, the owner of an outbox), by when they were made. An owner is an issuer, or NUL and a hash tag
- ``hooks:moved:{hooks}`` (sorted set): ids of events that were moved, for two days

The tags carry the prefix of the store's keys, too.
"""

from asyncio import gather
from collections.abc import Sequence
from enum import Enum, auto
from itertools import count
from typing import Final, NamedTuple, cast

from gateway.core.errors import StoreUnavailable
from gateway.core.event import EventType
from gateway.core.ports import Script, Store
from gateway.core.replies import is_count, is_pairs, is_texts
from gateway.hooks.cloud_event import UnreadableEvent, decode
from gateway.hooks.queue import KNOWN_MS

STREAM: Final = "hooks"
MARKER: Final = "first-login:"

LEFT_MS: Final = 30_000
"""A writer that has not moved its events for so long does not: another does."""
GONE_MS: Final = 3600_000
"""A writer that was registered for so long writes no more: no command waits for that long."""
SWEPT: Final = 200
"""Registrations that one sweep looks at."""
_AT_ONCE, _OF_EACH = 32, 16
"""Outboxes that are moved in one step, and events of each."""

REGISTER: Final = Script.packaged("gateway.hooks", "outbox_register", is_count)
LEFT: Final = Script.packaged("gateway.hooks", "outbox_left", is_pairs)
UNREGISTER: Final = Script.packaged("gateway.hooks", "outbox_unregister", is_count)
READ: Final = Script.packaged("gateway.hooks", "outbox_read", is_texts)
TAKE: Final = Script.packaged("gateway.hooks", "outbox_take", is_count)
DROP: Final = Script.packaged("gateway.hooks", "outbox_drop", is_count)


class Rooms(NamedTuple):
    """How many events the stream may hold: of any kind, and of first sign-ins."""

    any: int
    first: int


_Held = tuple[bytes, bytes, bytes]
"""The place of an event, the event, and its endpoints."""


class _Moved(Enum):
    EMPTIED = auto()
    MORE = auto()
    STUCK = auto()
    """There is no room for what it holds, or its node does not answer."""


class Outboxes:
    """The outboxes of persons, and their way to the stream. Methods raise `StoreUnavailable`."""

    def __init__(
        self, store: Store, prefix: str, rooms: Rooms, confirming: Store | None = None
    ) -> None:
        """``confirming`` is the store where replicas confirm what scripts write, if they do."""
        self._store = store
        self._confirming = store if confirming is None else confirming
        self._prefix = prefix
        self._rooms = rooms
        self._passed = 0
        """Registrations that the last sweeps looked at, and left: the next begins behind them."""
        self._registered = f"outboxes:{{{prefix}{STREAM}}}"
        self._moved = f"hooks:moved:{{{prefix}{STREAM}}}"

    def owner_of(self, key: str) -> str:
        """
        Return the owner of the outbox in the slot of ``key``.

        A key with a brace that ends no hash tag is in a slot that its name cannot give to another
        key. Then numbers are tried, some 16 384 of them: only names that operators type are such.
        """
        tag = _tag_of(self._prefix + key)
        if "}" in tag:
            slot = self._store.slot_of(key)
            tag = next(n for n in map(str, count()) if self._store.slot_of(_beside(n)) == slot)
        return f"\0{tag}"

    def beside(self, owner: str, name: str) -> str:
        """Return a key called ``name`` in the slot of the outbox of ``owner``."""
        tag = owner[1:] if owner.startswith("\0") else f"{self._prefix}{MARKER}{owner}"
        return _beside(tag, name)

    def of(self, owner: str) -> str:
        """Return the key of the outbox of ``owner``."""
        return self.beside(owner, "outbox")

    async def register(self, registration: str, owner: str, *, is_confirmed: bool = False) -> bool:
        """
        Register that the outbox of ``owner`` will be written; False where is no room.

        ``is_confirmed`` has replicas confirm it, where they are asked to.
        """
        keys = [self._registered, STREAM]
        args = self._rooms.first, _named(registration, owner)
        store = self._confirming if is_confirmed else self._store
        return await store.run(REGISTER, keys, args) == 1

    async def move_all(self, written: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """
        Move what outboxes hold, in the order of the registrations, which are taken away.

        Returns those whose outboxes hold more, or could not be reached.
        """
        emptied = await self._move(list(dict.fromkeys(owner for _, owner in written)))
        await self._unregister([_named(*each) for each in written if each[1] in emptied])
        return [each for each in written if each[1] not in emptied]

    async def sweep(self, left_ms: int = LEFT_MS, gone_ms: int = GONE_MS) -> int:
        """Move what others have left; return how many outboxes were looked at."""
        args = left_ms, gone_ms, self._passed, SWEPT
        reply = cast("list[bytes]", await self._store.run(LEFT, [self._registered], args))
        seen = len(reply) // 2
        self._passed = self._passed + seen if seen == SWEPT else 0
        owners = {name: name.decode(errors="replace").partition("\0")[2] for name in reply[::2]}
        emptied = await self._move(list(dict.fromkeys(owners.values())))
        gone = [
            name
            for name, is_gone in zip(reply[::2], reply[1::2], strict=True)
            if is_gone == b"1" and owners[name] in emptied
        ]
        await self._unregister(gone)
        self._passed = max(0, self._passed - len(gone))
        return seen

    async def _unregister(self, names: Sequence[str | bytes]) -> None:
        if names:
            await self._store.run(UNREGISTER, [self._registered], names)

    async def _move(self, owners: Sequence[str]) -> set[str]:
        """Move what outboxes hold; return the owners of those of which nothing is left."""
        emptied, left = set[str](), list(owners)
        while left:
            batch, left = left[:_AT_ONCE], left[_AT_ONCE:]
            outcomes = await self._move_some(batch)
            emptied |= {owner for owner in batch if outcomes[owner] is _Moved.EMPTIED}
            left += [owner for owner in batch if outcomes[owner] is _Moved.MORE]
        return emptied

    async def _move_some(self, owners: Sequence[str]) -> dict[str, _Moved]:
        """Move some entries of each outbox, those of all in order."""
        read = await gather(*map(self._read, owners))
        room = await self._take([entry for entries in read for entry in entries or ()])
        dropping = []
        for owner, entries in zip(owners, read, strict=True):
            moved = [place for place, *_ in (entries or ())[:room]]
            room -= len(moved)
            dropping.append(self._drop(owner, entries, moved))
        return dict(zip(owners, await gather(*dropping), strict=True))

    async def _read(self, owner: str) -> list[_Held] | None:
        """Return some of what an outbox holds; None where its node does not answer."""
        keys = [self.of(owner), self.beside(owner, "none")]  # no cursor: what was moved is dropped
        try:
            _, *rest = cast("list[bytes]", await self._store.run(READ, keys, [_OF_EACH, ""]))
        except StoreUnavailable:
            return None
        return list(zip(rest[::3], rest[1::3], rest[2::3], strict=True))

    async def _take(self, entries: Sequence[_Held]) -> int:
        """Add entries to the stream; return how many of them are done with."""
        if not entries:
            return 0
        args = [KNOWN_MS, *(part for _, *event in entries for part in self._described(*event))]
        return cast("int", await self._confirming.run(TAKE, [STREAM, self._moved], args))

    async def _drop(
        self, owner: str, entries: Sequence[_Held] | None, moved: Sequence[bytes]
    ) -> _Moved:
        """Take entries out of an outbox that were moved."""
        if not entries:
            return _Moved.STUCK if entries is None else _Moved.EMPTIED
        try:
            is_left = bool(moved) and await self._store.run(DROP, [self.of(owner)], moved) != 0
        except StoreUnavailable:
            return _Moved.STUCK  # what is moved again is known by its id
        if len(moved) < len(entries):
            return _Moved.STUCK
        return _Moved.MORE if is_left else _Moved.EMPTIED

    def _described(self, raw: bytes, endpoints: bytes) -> tuple[str | int | bytes, ...]:
        """Return id, room and whether it waits for that, the event itself, and its endpoints."""
        try:
            event = decode(raw)
        except UnreadableEvent:
            return "", 0, 0, raw, endpoints
        is_first = event.type is EventType.FIRST_LOGIN
        room = self._rooms.first if is_first else self._rooms.any
        return event.id, room, int(is_first), raw, endpoints


def _named(registration: str, owner: str) -> str:
    return f"{registration}\0{owner}"


def _beside(tag: str, name: str = "outbox") -> str:
    return f"{name}:{{{tag}}}"


def _tag_of(key: str) -> str:
    """Return what the slot of a whole key is computed from: its hash tag, if it has one."""
    begins = key.find("{")
    ends = key.find("}", begins + 1)
    return key[begins + 1 : ends] if 0 <= begins < ends - 1 else key
