"""Rates of single callers, looked up in the store and cached."""

import logging
import time
from typing import Final, NamedTuple

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit
from gateway.core.ports import Clock, Store
from gateway.ratelimit.override import Override, key, read_override, with_override
from gateway.util.lru import LruCache
from gateway.util.single_flight import SingleFlight
from gateway.util.spread import Spread

FRESH_S: Final = 10.0
"""How long a look-up is used; an app's change takes as long at most."""
RETRY_S: Final = 1.0
"""How long none is made after the store has failed."""
MAX_CALLERS: Final = 10_000
"""Callers whose rate is cached, with one or without: some 4 MB."""
_MAX_VARIANTS: Final = 1000
_WARN_EVERY_S: Final = 60.0

_log = logging.getLogger(__name__)

_Caller = tuple[int, str]
"""The identity of a limit, and the caller."""


class _Found(NamedTuple):
    limit: Limit
    """Held with its identity in the key, so that this is not that of another limit."""
    variant: Limit
    until_s: float


class StoredOverrides:
    """
    Finds the limit that counts a caller: the configured one, or a variant with another rate.

    A variant is one object for all callers with the same rate. While the store is unavailable, what
    was found last holds, and the configured rate for other callers.
    """

    def __init__(self, store: Store, clock: Clock = time.time, capacity: int = MAX_CALLERS) -> None:
        self._store = store
        self._clock = clock
        self._spread = Spread()
        self._known: LruCache[_Caller, _Found] = LruCache(capacity)
        self._variants: LruCache[tuple[int, Override], tuple[Limit, Limit]] = LruCache(
            _MAX_VARIANTS
        )
        self._lookups: SingleFlight[tuple[_Caller, int], Limit] = SingleFlight()
        self._limit_ids: dict[str, set[int]] = {}
        """The identities of limits, by name: several may share one."""
        self._forgotten = 0
        """Counts what was forgotten: a look-up that was under way then must not be cached."""
        self._warned_at_s: dict[str, float] = {}

    def known(self, limit: Limit, caller: str) -> Limit | None:
        """Return the limit that counts ``caller``; None where the store has to be asked."""
        found = self._known.get((id(limit), caller))
        if found is None or not 0 < found.until_s - self._clock() <= FRESH_S:
            return None
        return found.variant

    async def find(self, limit: Limit, caller: str) -> Limit:
        """Return the limit that counts ``caller``."""
        known = self.known(limit, caller)
        if known is not None:
            return known
        wanted = (id(limit), caller), self._forgotten
        return await self._lookups.run(wanted, lambda: self._look_up(limit, caller))

    def forget(self, name: str) -> None:
        """Forget a rate that was set: ``name`` is of the limit, a space, and the caller."""
        rule, _, caller = name.partition(" ")
        self._forgotten += 1
        for limit_id in self._limit_ids.get(rule, ()):
            self._known.forget((limit_id, caller))

    def forget_all(self) -> None:
        """Forget all rates, as an invalidation may have been missed."""
        self._forgotten += 1
        self._known.clear()

    async def aclose(self) -> None:
        """Cancel look-ups that are under way."""
        await self._lookups.aclose()

    async def _look_up(self, limit: Limit, caller: str) -> Limit:
        since_s, forgotten, wanted = self._clock(), self._forgotten, (id(limit), caller)
        lasts_s = FRESH_S * self._spread.share()
        try:
            record = await self._store.get(key(limit.name, caller))
        except StoreUnavailable:
            last = self._known.peek(wanted)
            variant, lasts_s = limit if last is None else last.variant, RETRY_S
        else:
            variant = limit if record is None else self._variant(limit, record)
        if forgotten == self._forgotten:
            self._limit_ids.setdefault(limit.name, set()).add(id(limit))
            self._known.put(wanted, _Found(limit, variant, since_s + lasts_s))
        return variant

    def _variant(self, limit: Limit, record: bytes) -> Limit:
        try:
            override = read_override(record)
            made = self._variants.get((id(limit), override))
            if made is None:
                made = limit, with_override(limit, override)
                self._variants.put((id(limit), override), made)
        except ValueError as error:
            self._warn(limit.name, error)
            return limit
        return made[1]

    def _warn(self, name: str, error: ValueError) -> None:
        """Log a record that cannot be used, without its caller; once a minute for a limit."""
        now_s, last_s = self._clock(), self._warned_at_s.get(name)
        if last_s is None or not 0 <= now_s - last_s < _WARN_EVERY_S:
            self._warned_at_s[name] = now_s
            told = "not text" if isinstance(error, UnicodeDecodeError) else error
            _log.warning("an override of the limit %s is ignored: %s", name, told)
