"""
Callers of a limit who have used most of it, as the store counts them.

They are looked for on demand: keys are read in slices, for a bounded time, and each caller is asked
about without charging anything. Requests are not slowed down, and nothing is kept.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple, Protocol

from gateway.authn.failure_limit import DEFAULT_LIMIT
from gateway.config import compile as compiled
from gateway.config.compile import LOGIN
from gateway.config.schema import Settings
from gateway.core.errors import BadRequest
from gateway.core.limit import Limit, LimitState
from gateway.core.ports import Clock, Store
from gateway.core.rate import Rate, rate_text
from gateway.ratelimit import concurrency
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.counts import StoredCounts
from gateway.ratelimit.override import key, read_override, with_override
from gateway.routing.client_address import parse_address
from gateway.runtime.limit_callers import find_counted
from gateway.runtime.people import Scan

MOST_TOLD: Final = 10
MOST_READ: Final = 2000
"""Callers of one limit that are asked about; where there are more, the answer says so."""
_PATIENCE_S: Final = 3.0
_AT_ONCE: Final = 100


class CallerCounts(Protocol):
    """Tells what a caller has used."""

    async def state(self, limit: Limit, caller: str) -> LimitState:
        """Return how the next request of ``caller`` would be answered, and what is left."""


class LimitUsage:
    """Looks for the callers of a limit. Raises `StoreUnavailable`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        scan: Scan,
        counts: CallerCounts | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._scan = scan
        self._counts = StoredCounts(store) if counts is None else counts
        self._clock = clock

    async def callers(self, name: str) -> dict[str, Any]:
        """Return those of the limit ``name`` who have least left, at most `MOST_TOLD`."""
        found: list[dict[str, Any]] = []
        named, is_partial = await self._named(name)
        for at in range(0, len(named), _AT_ONCE):
            states = await asyncio.gather(
                *(self._used(*each) for each in named[at : at + _AT_ONCE])
            )
            found += [each for each in states if each["used"] > 0]
        found.sort(key=lambda each: (not each["refuses"], -each["share"], each["caller"]))
        return {
            "limit": name,
            "callers": found[:MOST_TOLD],
            "counted": len(found),
            "is_partial": is_partial,
        }

    async def _named(self, name: str) -> tuple[list[tuple[Limit, str]], bool]:
        """Return the callers that have a key, and whether there may be more of them."""
        limits = _Limits(self._settings, name, self._clock())
        found: dict[tuple[Limit, str], None] = {}
        slices = self._scan(f"limit:{name}:")
        try:
            async with asyncio.timeout(_PATIENCE_S), aclosing(slices):
                async for keys in slices:
                    found.update(dict.fromkeys(_counted(keys, limits)))
                    if len(found) >= MOST_READ:
                        return list(found)[:MOST_READ], True
        except TimeoutError:
            return list(found), True
        return list(found), False

    async def _used(self, limit: Limit, caller: str) -> dict[str, Any]:
        own = await self._own(limit, caller)
        state = await self._counts.state(own, caller)
        left = max(0, state.remaining)
        return {
            "caller": caller,
            "rate": _rate(own),
            "used": own.capacity - left,
            "left": left,
            "share": round((own.capacity - left) / own.capacity, 4),
            "refuses": not (state.allowed and left),
            "resets_in_s": None if own.is_concurrency else round(state.reset_s, 1),
            "can_reset": self._is_named_so(limit.name, caller),
        }

    async def _own(self, limit: Limit, caller: str) -> Limit:
        """Return the limit with the rate that gateways use for the caller."""
        if not limit.has_overrides:
            return limit
        record = await self._store.get(key(limit.name, caller))
        try:
            return limit if record is None else with_override(limit, read_override(record))
        except ValueError:
            return limit  # gateways ignore such an override, too

    def _is_named_so(self, name: str, caller: str) -> bool:
        """Tell whether an operator can name the caller by the text of its key."""
        try:
            return find_counted(self._settings, name, caller).caller == caller
        except (ValueError, BadRequest):
            return False  # a contact that signs in is hashed


class _LimitKeys(NamedTuple):
    """A limit, and what stands in front of the caller in those of its keys that count now."""

    limit: Limit
    starts: Sequence[str]


class _Limits:
    """The limits of one name in the config: signing in has one of addresses, one of contacts."""

    def __init__(self, settings: Settings, name: str, now_s: float) -> None:
        entry = settings.limits.get(name)
        if name == LOGIN:
            found = [each for each in compiled.login_limits(settings) if each is not None]
        else:
            found = [DEFAULT_LIMIT if entry is None else compiled.limit(name, entry)]
        keys = [_LimitKeys(each, _starts(each, now_s)) for each in found]
        self._of_address, self._of_others = keys[0], keys[-1]

    def of(self, caller: str) -> _LimitKeys:
        """Return the limit that counts ``caller``."""
        if self._of_address is self._of_others:
            return self._of_address
        try:
            parse_address(caller.removesuffix("/64"))
        except ValueError:
            return self._of_others
        return self._of_address


def _counted(keys: Sequence[str], limits: _Limits) -> Iterator[tuple[Limit, str]]:
    """Yield the callers whose keys count now."""
    for each in keys:
        start, _, tagged = each.partition("{")
        caller = tagged[:-1]
        limit, starts = limits.of(caller)
        if tagged.endswith("}") and start in starts:
            yield limit, caller


def _starts(limit: Limit, now_s: float) -> Sequence[str]:
    """Name the keys of a limit that count now, without their callers."""
    if limit.is_concurrency:
        return (concurrency.key_name(limit),)
    return ALGORITHMS[limit.algorithm].names(limit, int(now_s * 1000))


def _rate(limit: Limit) -> str:
    if limit.is_concurrency:
        return f"{limit.rate} at one time"
    return rate_text(Rate(limit.rate, limit.window_s))
