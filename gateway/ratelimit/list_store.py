"""
Entries of deny and allow lists that operators add at run time: ``limit-deny:{rule}`` and
``limit-allow:{rule}`` in the store, each a sorted set of entries by their end.

``limit-lists`` is another text after each change. So a gateway that missed a message notices with
one command that nothing has changed.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable
from typing import Final, NamedTuple, cast

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Clock, Script, Store
from gateway.core.replies import is_count, is_texts
from gateway.ratelimit.entry import Entry, read_entry
from gateway.ratelimit.lists import LimitLists, ListKind
from gateway.ratelimit.matcher import Matcher
from gateway.util.rfc3339 import LAST_MS

MAX_ENTRIES: Final = 10_000
"""Of a list."""
LOOK_EVERY_S: Final = 30.0
"""How old a list gets where the message of a change does not arrive."""
VERSION_KEY: Final = "limit-lists"
_KEPT_S = 10 * 365 * 86_400
_SOURCE = "store"
_UNKNOWN: Final = b"unknown"
"""In place of the version, where a list has to be read again."""
_PREFIXES = {ListKind.DENY: "limit-deny:", ListKind.ALLOW: "limit-allow:"}

_ADD = Script.packaged("gateway.ratelimit", "list_add", is_count)
_REMOVE = Script.packaged("gateway.ratelimit", "list_remove", is_count)
_READ = Script.packaged("gateway.ratelimit", "list_read", is_texts)

_log = logging.getLogger(__name__)


class ListKey(NamedTuple):
    """Names a list."""

    limit: str
    kind: ListKind

    def __str__(self) -> str:
        return _PREFIXES[self.kind] + self.limit


class StoredEntry(NamedTuple):
    """An entry as stored."""

    text: str
    ends_at_s: float | None = None
    """Unix time in seconds by our clock; None for an entry that stays."""


KnownLists = dict[ListKey, tuple[StoredEntry, ...]]
"""The lists as they were read last, across all configs of a process."""


class StoredLists:
    """Reads and changes lists in the store. Every method raises `StoreUnavailable`."""

    def __init__(self, store: Store, clock: Clock = time.time) -> None:
        self._store = store
        self._clock = clock

    async def add(self, key: ListKey, entry: Entry, lifetime_s: float | None = None) -> bool:
        """Add an entry, or replace its end; False if the list is full."""
        args = (entry.text.encode(), round((lifetime_s or 0) * 1000), MAX_ENTRIES)
        is_added = bool(await self._store.run(_ADD, [str(key)], args))
        await self._change()
        return is_added

    async def remove(self, key: ListKey, entry: Entry) -> bool:
        """Remove an entry; return whether it was there."""
        was_there = bool(await self._store.run(_REMOVE, [str(key)], [entry.text.encode()]))
        await self._change()
        return was_there

    async def _change(self) -> None:
        ends_ms = round((self._clock() + _KEPT_S) * 1000)
        await self._store.set(VERSION_KEY, secrets.token_hex(8).encode(), expires_at_ms=ends_ms)

    async def version(self) -> bytes | None:
        """Read what is another text after each change."""
        return await self._store.get(VERSION_KEY)

    async def read(self, key: ListKey) -> tuple[StoredEntry, ...]:
        """Read the entries that have not ended, sorted."""
        reply = cast("list[bytes]", await self._store.run(_READ, [str(key)], [MAX_ENTRIES]))
        here_s = self._clock()
        now_ms, pairs = float(reply[0]), zip(reply[1::2], reply[2::2], strict=False)
        return tuple(
            sorted(
                StoredEntry(
                    entry.decode(errors="replace"),
                    None if float(end) > LAST_MS else here_s + (float(end) - now_ms) / 1000,
                )
                for entry, end in pairs
            )
        )


class ListWatch:
    """
    Keeps `LimitLists` equal to the lists in the store, of the limits ``names``.

    They are read at start, and after each change that `changed` hears of; every `LOOK_EVERY_S` the
    store is asked whether there was one. While it is unavailable, the entries that were read last
    stay, each until its end.
    """

    def __init__(
        self,
        lists: LimitLists,
        stored: StoredLists,
        names: Iterable[str],
        known: KnownLists,
        clock: Clock = time.time,
    ) -> None:
        self._lists = lists
        self._stored = stored
        self._keys = [ListKey(name, kind) for name in names for kind in ListKind]
        self._known = known
        self._clock = clock
        self._used: dict[ListKey, frozenset[str]] = {}
        self._version: bytes | None = None
        self._unread: set[ListKey] = set()
        """Lists that could not be read last, which the log has been told."""
        self._changed = asyncio.Event()

    def changed(self, limit: str = "") -> None:  # noqa: ARG002 (all lists are read: there are few)
        """Note that a list has changed, or may have."""
        self._changed.set()

    async def refresh(self) -> None:
        """Read all lists, and use them; those that cannot be read stay."""
        self._changed.clear()
        try:
            version = await self._stored.version()
        except StoreUnavailable:
            self._version = _UNKNOWN
        else:
            unread = {*filter(None, await asyncio.gather(*map(self._read, self._keys)))}
            self._version = _UNKNOWN if unread else version
            self._unread = unread
        await self._use_known()

    async def _read(self, key: ListKey) -> ListKey | None:
        """Read a list; return its key where that fails: so it does where that is no list."""
        try:
            self._known[key] = await self._stored.read(key)
        except StoreUnavailable as error:
            if key not in self._unread:
                _log.warning("%s cannot be read: %s", key, error.reason)
            return key
        return None

    async def watch(self) -> None:
        """Refresh the lists whenever that is due, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._changed.wait()
            except TimeoutError:
                pass
            try:
                await (self.refresh() if await self._is_stale() else self._use_known())
            except Exception:  # noqa: BLE001 (the entries in use stay, whatever the error)
                _log.exception("reading the lists of limits failed")

    def _wait_s(self) -> float:
        """Return how long the lists may stay as they are: no longer than until an entry ends."""
        ends_s = [
            entry.ends_at_s
            for key in self._keys
            for entry in self._known.get(key, ())
            if entry.ends_at_s is not None
        ]
        left_s = min(ends_s, default=float("inf")) - self._clock()
        return max(0.001, min(LOOK_EVERY_S, left_s))

    async def _is_stale(self) -> bool:
        """Return whether the store may hold other lists than those in use."""
        if self._changed.is_set():
            return True
        try:
            return self._version != await self._stored.version()
        except StoreUnavailable:
            return False

    async def _use_known(self) -> None:
        """Use the lists that were read last, without what has ended since."""
        now_s = self._clock()
        for key in self._keys:
            entries = self._known.get(key, ())
            living = tuple(e for e in entries if e.ends_at_s is None or e.ends_at_s > now_s)
            self._known[key] = living
            texts = frozenset(entry.text for entry in living)
            if texts != self._used.get(key, frozenset()):
                self._lists.put(*key, _SOURCE, await asyncio.to_thread(_matcher, key, texts))
                self._used[key] = texts


def _matcher(key: ListKey, texts: Iterable[str]) -> Matcher:
    """Make a matcher of those texts that are entries; others are no work of ours."""
    entries, unread = [], 0
    for text in texts:
        try:
            entries.append(read_entry(text))
        except ValueError:
            unread += 1
    if unread:
        _log.warning("%s has %d entries that cannot be read", key, unread)
    return Matcher(entries)
