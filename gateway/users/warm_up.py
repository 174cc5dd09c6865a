"""
Warm-up: fills the store with the records of many users in advance.

Magic's admin API accepts many issuers in one call, but the response to that is not documented, and
these records decide whether an issuer is a user. So each issuer is looked up by a call of its own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.core.errors import MagicUnavailable
from gateway.core.identity import User
from gateway.core.ports import Clock
from gateway.users.directory import MetadataSource
from gateway.users.magic_api import KEY_REFUSED
from gateway.users.metadata import Record, RecordAge, RecordLifetimes
from gateway.users.records import UserRecords

_HOPELESS: Final = frozenset({KEY_REFUSED})
"""Reasons for which retrying is useless."""


class WarmUpOutcome(StrEnum):
    """Outcome for one issuer."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    """Magic does not know it; a record of it in the store is deleted."""
    FRESH = "fresh"
    """The store has a fresh record, so Magic was not asked."""
    FAILED = "failed"


@dataclass(slots=True)
class WarmUpResult:
    """Outcomes of all issuers."""

    issuers: dict[WarmUpOutcome, list[str]] = field(
        default_factory=lambda: {outcome: [] for outcome in WarmUpOutcome}
    )
    why: str = ""
    """Why the last one failed."""


class WarmUp:
    """
    Asks Magic about issuers with missing or ageing records, and stores what it returns.

    Waits for as long as Magic's ``Retry-After`` says. Gives an issuer up where that would take
    longer than ``patience_s`` in all, and also all that are left if Magic answered no other call
    meanwhile.
    """

    def __init__(
        self,
        source: MetadataSource,
        records: UserRecords,
        lifetimes: RecordLifetimes,
        *,
        notify: Callable[[str], Awaitable[None]],
        patience_s: float,
        clock: Clock = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Call ``notify`` to make all gateways ask the store about an issuer again."""
        self._source = source
        self._records = records
        self._lifetimes = lifetimes
        self._notify = notify
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep
        self._responses = 0
        self._given_up_for: MagicUnavailable | None = None

    async def warm(
        self,
        issuers: Iterable[str],
        at_once: int,
        progress: Callable[[], object] = lambda: None,
    ) -> WarmUpResult:
        """
        Warm up all ``issuers``, ``at_once`` of them at a time.

        Raises `StoreUnavailable`; records that were written by then stay.
        """
        warmed, left = WarmUpResult(), iter(issuers)
        workers = [
            asyncio.create_task(self._run_worker(left, warmed, progress)) for _ in range(at_once)
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for each in workers:
                each.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return warmed

    async def _run_worker(
        self, left: Iterator[str], warmed: WarmUpResult, progress: Callable[[], object]
    ) -> None:
        for issuer in left:
            try:
                outcome = await self._warm_one(issuer)
            except MagicUnavailable as error:
                outcome, warmed.why = WarmUpOutcome.FAILED, error.reason
            warmed.issuers[outcome].append(issuer)
            progress()

    async def _warm_one(self, issuer: str) -> WarmUpOutcome:
        stored = await self._records.read(issuer)
        if stored.failure is not None:
            raise stored.failure
        record = self._records.record_in(stored, issuer)
        if record is not None and self._lifetimes.age(record, self._clock()) is RecordAge.FRESH:
            return WarmUpOutcome.FRESH
        user = await self._ask(issuer)
        if user is None:
            if await self._records.drop(issuer):
                await self._notify(issuer)
            return WarmUpOutcome.UNKNOWN
        record = Record(user, int(self._clock() * 1000))
        await self._records.keep(record, self._lifetimes.ends_at_ms(record))
        await self._notify(issuer)
        return WarmUpOutcome.KNOWN

    async def _ask(self, issuer: str) -> User | None:
        """Ask Magic, with retries within ``patience_s``. Raises `MagicUnavailable`."""
        waited_s, responses = 0.0, self._responses
        while self._given_up_for is None:
            try:
                user = await self._source.user(issuer)
            except MagicUnavailable as error:
                waited_s += error.retry_after_s
                if error.reason in _HOPELESS or waited_s > self._patience_s:
                    if responses == self._responses:
                        self._given_up_for = error
                    raise
                await self._sleep(error.retry_after_s)
            else:
                self._responses += 1
                return user
        raise MagicUnavailable(self._given_up_for.reason)
