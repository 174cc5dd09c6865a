"""
The outbox: a stream of events, written by the script that makes the change which they tell of.

So there is no change without its event, and no event without its change. A worker hands entries on
to the queues of the endpoints, from a cursor on: again where it died in between, which the queues
notice. On a Redis Cluster the events of a sign-in take the way of `gateway.hooks.outboxes`. Other
programs may read the stream ``hooks`` with a consumer group of their own.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache, partial
from secrets import token_hex
from typing import Final, NamedTuple, cast

from gateway.core.errors import OutboxFull, StoreUnavailable
from gateway.core.lua import lua_source
from gateway.core.ports import Script, Store
from gateway.core.replies import are_counts, is_count
from gateway.hooks import outboxes
from gateway.hooks.outboxes import READ, Outboxes, Rooms
from gateway.store.confirm import unconfirmed_reply

STREAM: Final = outboxes.STREAM
MARKER: Final = outboxes.MARKER

ROOM_OF_FIRST: Final = 1_000_000
"""Events that the outbox holds at most; then a first sign-in is refused."""
_SHARE, _SHARE_OF_SAMPLED = 0.9, 0.5
"""Parts of that for other events, and for those that clients can cause without end."""
_MAX_WRITTEN: Final = 100_000
_NO_ROOM: Final = -1
_IF_KNOWN: Final = "known"
"""For the script of a sign-in: do nothing where the person is new."""
_NAME: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SOON_S: Final = 0.05
"""
What is recorded within so long is moved, and handed on, together: when those who caused it have
their answers.
"""
KEPT: Final = 10_000
"""Entries that stay after they were handed on, for other readers; twice that before a backlog."""

LOGIN: Final = Script.packaged("gateway.hooks", "login", partial(are_counts, 3))
RECORD: Final = Script.packaged("gateway.hooks", "record", is_count)
TOLD: Final = lua_source("gateway.hooks", "told")
ADVANCE: Final = Script.packaged("gateway.hooks", "outbox_advance", is_count)


@lru_cache(maxsize=16)
def _told(change: Script) -> Script:
    """Return the script of a change that records events, too."""

    def accepts(reply: object) -> bool:
        if type(reply) is not list or len(reply) != 2:  # noqa: PLR2004
            return False
        return change.accepts(reply[0]) and is_count(reply[1])

    return Script(f"told_{change.name}", TOLD.replace("--CHANGE\n", change.source), accepts)


class Changed(NamedTuple):
    """What became of a change that is told."""

    reply: object
    """What its script replied."""
    recorded: int
    """How many of the events found room; -1 where nothing was changed."""


class SignInRecord(NamedTuple):
    """What became of a sign-in."""

    is_new: bool
    """False where the token was used before: then nothing was recorded."""
    is_first: bool
    """Whether it is the first of this person."""
    is_login_lost: bool = False
    """Whether the event of the sign-in found no room; that of a first sign-in does, always."""


class Recorded(NamedTuple):
    """An event in the outbox, and its place there."""

    place: str
    event: bytes
    endpoints: frozenset[str] = frozenset()
    """Those that its recorder knew, and that want it."""


class Unread(NamedTuple):
    """What follows the cursor."""

    cursor: str
    events: list[Recorded]


class Outbox:
    """
    The stream of one store. Every method raises `StoreUnavailable`.

    ``prefix`` is that of the store's keys: the cursor carries the whole name of the stream as a
    hash tag, so that both are in one slot of a cluster.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        room_of_first: int = ROOM_OF_FIRST,
        kept: int = KEPT,
        confirming: Store | None = None,
    ) -> None:
        """
        Make the outbox of ``store``.

        ``confirming`` is the same store where replicas confirm what scripts write; see
        `gateway.store.confirm`. Sign-ins, and what their events pass on a cluster, take that way.
        """
        self._store = store
        self._confirming = store if confirming is None else confirming
        self._cursor = f"{STREAM}:cursor:{{{prefix}{STREAM}}}"
        self._earlier = f"{STREAM}:earlier:{{{prefix}{STREAM}}}"
        self._room_of_first = room_of_first
        self._kept = kept
        apart = store.slot_of(MARKER) != store.slot_of(STREAM)
        rooms = Rooms(self._room(_SHARE), room_of_first)
        self._outboxes = Outboxes(store, prefix, rooms, self._confirming) if apart else None
        """Where a script cannot reach the marker of a person and the stream."""
        self._written: dict[tuple[str, str], None] = {}
        """Registrations, and the owners of outboxes, of what is not moved yet."""
        self._moving: asyncio.Task[None] | None = None
        self._due: asyncio.TimerHandle | None = None
        """The timer that begins to move what is written."""
        self._registrations: set[asyncio.Task[bool]] = set()
        """Those under way."""

    @property
    def spans_nodes(self) -> bool:
        """Whether an event passes several servers, which do not fail over together: a cluster."""
        return self._outboxes is not None

    async def sign_in(
        self,
        mark: str,
        ends_at_ms: int,
        issuer: str,
        first_id: str,
        login: bytes = b"",
        first_login: bytes = b"",
        of_login: str = "",
        of_first: str = "",
    ) -> SignInRecord:
        """
        Mark a token as used at the key ``mark``, and record that ``issuer`` has signed in.

        ``login`` and ``first_login`` are the events; empty for what no endpoint wants. ``of_login``
        and ``of_first`` name the endpoints of each, with commas between. The marker is written in
        any case: an endpoint that is added later makes no person new.

        Raises `OutboxFull` where there is no room for the event of a first sign-in; then nothing is
        changed.
        """
        rooms = Rooms(self._room(_SHARE), self._room_of_first)
        args = first_id, login, first_login, of_login, of_first
        if self._outboxes is None:
            return await self._sign_in([mark, MARKER + issuer, STREAM], (ends_at_ms, *rooms, *args))
        keys = [self._mark(mark, issuer), MARKER + issuer, self._outboxes.of(issuer)]
        if not login and not first_login:
            return await self._sign_in(keys, (ends_at_ms, *rooms, *args))
        registering = self._registering(self._outboxes, mark, issuer)
        try:
            if not login:  # one who is known has no event, and waits for no registration
                known = await self._sign_in(keys, (ends_at_ms, *rooms, *args, _IF_KNOWN))
                if not known.is_first:
                    return known
            if not await registering:
                rooms = Rooms(0, 0)
            return await self._sign_in(keys, (ends_at_ms, *rooms, *args))
        finally:
            if registering.done():
                self._note_registered(mark, issuer, registering)
            else:
                registering.add_done_callback(partial(self._note_registered, mark, issuer))

    def _registering(self, outboxes: Outboxes, mark: str, issuer: str) -> asyncio.Task[bool]:
        """Begin to register the outbox of a person."""
        register = outboxes.register(mark, issuer, is_confirmed=True)
        task = asyncio.get_running_loop().create_task(register)
        self._registrations.add(task)
        task.add_done_callback(self._registrations.discard)
        return task

    def _note_registered(self, mark: str, issuer: str, task: asyncio.Task[bool]) -> None:
        """Note that the outbox is written; where its registration failed, it holds nothing."""
        if not task.cancelled() and task.exception() is None:
            self._note_written(mark, issuer)

    async def _sign_in(
        self, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> SignInRecord:
        try:
            reply = await self._confirming.run(LOGIN, keys, args)
        except StoreUnavailable as error:
            reply = unconfirmed_reply(error)
            if reply is None:
                raise
            if cast("list[int]", reply)[0] == 1:  # the token counts again; a used one does not
                with suppress(StoreUnavailable):
                    await self._store.delete(keys[0])
                raise
        outcome, is_first, is_lost = cast("list[int]", reply)
        if outcome == _NO_ROOM:
            raise OutboxFull("no room for events of first sign-ins")
        return SignInRecord(outcome == 1, is_first == 1, is_lost == 1)

    async def change(
        self,
        change: Script,
        key: str,
        args: Sequence[str | int | bytes],
        events: Sequence[tuple[bytes, str]],
    ) -> Changed:
        """
        Make a change of ``key`` and record the ``events``, each with the names of its endpoints.

        Where the change replies 0, nothing is recorded.
        """
        room = self._room(_SHARE)
        given = [len(events), *(part for event in events for part in event), *args]
        if self._outboxes is None:
            return await self._change(change, [key, STREAM], [room, *given])
        name, owner = token_hex(16), self._outboxes.owner_of(key)
        with suppress(StoreUnavailable):  # of another node: the change does not wait for that
            room *= await self._outboxes.register(name, owner)
        try:
            return await self._change(change, [key, self._outboxes.of(owner)], [room, *given])
        finally:
            self._note_written(name, owner)

    async def _change(
        self, change: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> Changed:
        reply, recorded = cast("list[object]", await self._store.run(_told(change), keys, args))
        return Changed(reply, cast("int", recorded))

    def _note_written(self, name: str, owner: str) -> None:
        """Note that the outbox of ``owner`` is written, and move soon what it holds."""
        self._written[name, owner] = None
        if len(self._written) > _MAX_WRITTEN:  # it is registered, and swept up
            del self._written[next(iter(self._written))]
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(SOON_S, self._begin_to_move)

    def _begin_to_move(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._moving is None or self._moving.done():
            self._moving = asyncio.get_running_loop().create_task(self._move_written())

    async def _move_written(self) -> None:
        """Move all that is written now, and have another task move what is written meanwhile."""
        if self._outboxes is None:
            return
        written = list(self._written)
        try:
            moved = set(written) - set(await self._outboxes.move_all(written))
        except StoreUnavailable:
            return  # what cannot be moved now is left for the next time
        for each in moved:
            self._written.pop(each, None)
        if moved and self._written:
            self._moving = asyncio.get_running_loop().create_task(self._move_written())

    async def settle(self) -> None:
        """
        Wait until what this process has written so far to outboxes of persons is in the stream.

        That is when the task which moves things has ended, and the one behind it. It does not wait
        for what is written meanwhile: where people sign in all the time, that has no end.
        """
        if self._registrations:
            await asyncio.wait(self._registrations)
        for _ in range(2):
            if self._written:
                self._begin_to_move()
            if self._moving is not None:
                await asyncio.wait({self._moving})

    async def take_back(self, mark: str, issuer: str) -> None:
        """Take the mark of a token back, for a sign-in that came to nothing."""
        await self._store.delete(self._mark(mark, issuer))

    async def sweep(self) -> None:
        """Move events that another gateway has recorded, and died before they were readable."""
        if self._outboxes is not None:
            await self._outboxes.sweep()

    def _mark(self, mark: str, issuer: str) -> str:
        return mark if self._outboxes is None else self._outboxes.beside(issuer, mark)

    async def record(
        self, events: Sequence[bytes], *, are_sampled: bool, endpoints: str = ""
    ) -> int:
        """Record events that no other state stands for; return how many found room."""
        await self.settle()  # what was recorded before comes before it
        args: list[int | bytes | str] = [self._room(_SHARE_OF_SAMPLED if are_sampled else _SHARE)]
        for event in events:
            args += event, endpoints
        return cast("int", await self._store.run(RECORD, [STREAM], args))

    async def unread(self, most: int, after: str = "") -> Unread:
        """
        Read what was not handed on yet, or what comes after a place.

        What this process has written becomes readable first.
        """
        await self.settle()
        keys = [STREAM, self._cursor]
        cursor, *rest = cast("list[bytes]", await self._store.run(READ, keys, (most, after)))
        entries = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        events = [Recorded(place.decode(), event, _names(named)) for place, event, named in entries]
        return Unread(cursor.decode(), events)

    async def advance(self, read: Unread) -> bool:
        """Note that what was read is handed on; False where another has done so meanwhile."""
        keys = [STREAM, self._cursor, self._earlier]
        args = read.cursor, read.events[-1].place, self._kept, len(read.events)
        return await self._store.run(ADVANCE, keys, args) == 1

    def _room(self, share: float) -> int:
        return int(self._room_of_first * share)


def _names(named: bytes) -> frozenset[str]:
    """Return the names of endpoints in an entry; what can be no name is left out."""
    return frozenset(each.decode() for each in named.split(b",") if _NAME.fullmatch(each))
