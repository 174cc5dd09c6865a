"""
Fills the store with the records of many users, before they come.

Magic's admin API can be asked about many issuers in one call, but what it answers then is not
documented, and who is a user follows from these records: so each is asked about by itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.core.errors import MagicUnavailable
from gateway.core.identity import User
from gateway.core.ports import Clock, Store
from gateway.users.directory import MetadataSource, key_of
from gateway.users.magic_api import KEY_REFUSED
from gateway.users.metadata import (
    Record,
    RecordAge,
    RecordLifetimes,
    RecordSealer,
)

_HOPELESS: Final = frozenset({KEY_REFUSED})
"""Reasons that waiting does not cure."""


class WarmUpOutcome(StrEnum):
    """What became of an issuer."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    """To Magic. A record of somebody whom it knew once is deleted."""
    FRESH = "fresh"
    """The store has a record that is young enough: nobody was asked."""
    FAILED = "failed"


@dataclass(slots=True)
class WarmUpResult:
    """Who became what."""

    issuers: dict[WarmUpOutcome, list[str]] = field(
        default_factory=lambda: {outcome: [] for outcome in WarmUpOutcome}
    )
    why: str = ""
    """Why the last one failed."""


class WarmUp:
    """
    Asks Magic about issuers whose records are missing or ageing.

    It waits for as long as Magic says, but gives an issuer up where that would take longer than
    ``patience_s`` in all; and all that are left, where nobody has been answered meanwhile.
    """

    def __init__(
        self,
        source: MetadataSource,
        store: Store,
        seals: RecordSealer,
        lifetimes: RecordLifetimes,
        *,
        tell: Callable[[str], Awaitable[None]],
        patience_s: float,
        clock: Clock = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``tell`` makes all gateways ask the store about an issuer again."""
        self._source = source
        self._store = store
        self._seals = seals
        self._lifetimes = lifetimes
        self._tell = tell
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep
        self._answers = 0
        self._given_up_for: MagicUnavailable | None = None

    async def warm(
        self,
        issuers: Iterable[str],
        at_once: int,
        progress: Callable[[], object] = lambda: None,
    ) -> WarmUpResult:
        """
        Look after all ``issuers``, ``at_once`` of them at a time.

        Raises `StoreUnavailable`; what was written by then stays.
        """
        warmed, left = WarmUpResult(), iter(issuers)
        work = [asyncio.create_task(self._work(left, warmed, progress)) for _ in range(at_once)]
        try:
            await asyncio.gather(*work)
        finally:
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        return warmed

    async def _work(
        self, left: Iterator[str], warmed: WarmUpResult, progress: Callable[[], object]
    ) -> None:
        for issuer in left:
            try:
                outcome = await self._look_after(issuer)
            except MagicUnavailable as error:
                outcome, warmed.why = WarmUpOutcome.FAILED, error.reason
            warmed.issuers[outcome].append(issuer)
            progress()

    async def _look_after(self, issuer: str) -> WarmUpOutcome:
        text = await self._store.get(key_of(issuer))
        record = None if text is None else self._seals.decode(text, issuer)
        if record is not None and self._lifetimes.age(record, self._clock()) is RecordAge.FRESH:
            return WarmUpOutcome.FRESH
        user = await self._ask(issuer)
        if user is None:
            if text is not None:
                await self._store.delete(key_of(issuer))
                await self._tell(issuer)
            return WarmUpOutcome.UNKNOWN
        record = Record(user, int(self._clock() * 1000))
        ends_at_ms = self._lifetimes.expires_at_ms(record)
        await self._store.set(key_of(issuer), self._seals.encode(record), expires_at_ms=ends_at_ms)
        await self._tell(issuer)
        return WarmUpOutcome.KNOWN

    async def _ask(self, issuer: str) -> User | None:
        """Magic's answer, however often it has to be asked. Raises `MagicUnavailable`."""
        waited_s, answers = 0.0, self._answers
        while self._given_up_for is None:
            try:
                user = await self._source.user(issuer)
            except MagicUnavailable as error:
                waited_s += error.retry_after_s
                if error.reason in _HOPELESS or waited_s > self._patience_s:
                    if answers == self._answers:
                        self._given_up_for = error
                    raise
                await self._sleep(error.retry_after_s)
            else:
                self._answers += 1
                return user
        raise MagicUnavailable(self._given_up_for.reason)
