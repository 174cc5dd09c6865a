"""People who are signed in, a page at a time: keys of the store are read in slices."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from gateway.core.email import canonical_email
from gateway.core.identity import SessionSummary
from gateway.core.issuer import is_user, read_name
from gateway.core.ports import Clock, Store
from gateway.sessions import email_index, index
from gateway.sessions.email_index import EmailIndex
from gateway.sessions.redis import RedisSessions
from gateway.users.app_record import AppRecord, parse
from gateway.users.records import key_of
from gateway.util.rfc3339 import rfc3339_if_known

PAGE: Final = 50
MAX_SEARCHES: Final = 5
"""
Searches that are kept; one more ends the one that was used longest ago. As many read at one time;
others wait.
"""
KEPT_S: Final = 600.0
"""Time after which a search that is not continued ends: it holds a connection to the store."""
_PATIENCE_S: Final = 3.0
"""Time after which a page is shown with what was found: most keys may be of other kinds."""

Scan = Callable[[str], AsyncGenerator[list[str], None]]
"""
Yields the names of keys that begin with a text, without the prefix of the config: those of one
command at a time, which may be none.
"""

_Found = AsyncGenerator[str | None, None]
"""Issuers; None is a place to stop at."""


class PeoplePage(NamedTuple):
    """Some people, and the name by which the search continues; empty at its end."""

    people: list[dict[str, Any]]
    more: str


class People:
    """Searches of people that are signed in. Raises `StoreUnavailable`."""

    def __init__(
        self,
        store: Store,
        sessions: Callable[[], RedisSessions],
        scan: Scan,
        clock: Clock = time.monotonic,
    ) -> None:
        """``sessions`` returns those of the config in use."""
        self._store = store
        self._sessions = sessions
        self._scan = scan
        self._clock = clock
        self._open: dict[str, _OpenSearch] = {}
        self._reading = asyncio.Semaphore(MAX_SEARCHES)
        self._ending: set[asyncio.Task[None]] = set()

    async def page(self, wanted: str, more: str = "") -> PeoplePage:
        """
        Return the first people that ``wanted`` selects, or those after the page that told ``more``.

        ``wanted`` is an email address, ``@`` and a domain, an issuer, or empty for all. Raises
        `ValueError` for other text, and for a search that has ended.
        """
        found = self._taken(more) if more else self._issuers(wanted.strip())
        if found is None:
            raise ValueError("the search has ended: begin again")
        try:
            async with self._reading:
                people, is_over = await self._page(found)
        except BaseException:
            await found.aclose()
            raise
        return PeoplePage(people, "" if is_over else await self._keep(found))

    async def _page(self, found: _Found) -> tuple[list[dict[str, Any]], bool]:
        """Return the next people, and whether they are the last."""
        until_s, people, is_over = self._clock() + _PATIENCE_S, list[dict[str, Any]](), False
        while not is_over and len(people) < PAGE and self._clock() < until_s:
            batch, is_over = await _batch(found, PAGE - len(people), until_s, self._clock)
            people += await self._described(batch)
        return people, is_over

    def _taken(self, name: str) -> _Found | None:
        taken = self._open.pop(name, None)
        if taken is None:
            return None
        taken.timer.cancel()
        return taken.found

    async def _keep(self, found: _Found) -> str:
        while len(self._open) >= MAX_SEARCHES:
            await self._end(next(iter(self._open)))
        name = secrets.token_urlsafe(16)
        timer = asyncio.get_running_loop().call_later(KEPT_S, self._forget, name)
        self._open[name] = _OpenSearch(found, timer)
        return name

    def _forget(self, name: str) -> None:
        ending = asyncio.create_task(self._end(name))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _end(self, name: str) -> None:
        found = self._taken(name)
        if found is not None:
            await found.aclose()

    async def aclose(self) -> None:
        """End all searches."""
        for name in list(self._open):
            await self._end(name)

    async def record(self, issuer: str) -> AppRecord | None:
        """Read what the store has of a user: the email address and the roles."""
        text = await self._store.get(key_of(issuer))
        return None if text is None else parse(text, issuer)

    def _issuers(self, wanted: str) -> _Found:
        if not wanted:
            return self._all()
        return self._of_domain(wanted) if wanted.startswith("@") else self._named(wanted)

    async def _all(self) -> _Found:
        async with aclosing(self._scan(index.PREFIX)) as slices:
            async for names in slices:
                for issuer in (name.removeprefix(index.PREFIX) for name in names):
                    if is_user(issuer):
                        yield issuer
                yield None

    async def _of_domain(self, wanted: str) -> _Found:
        ending = canonical_email(f"x{wanted}")[1:]
        async with aclosing(self._scan(email_index.PREFIX)) as slices:
            async for names in slices:
                for email in (name.removeprefix(email_index.PREFIX) for name in names):
                    if email.endswith(ending):
                        for issuer in await EmailIndex(self._store).issuers(email):
                            yield issuer
                yield None

    async def _named(self, wanted: str) -> _Found:
        name = read_name(wanted)
        of_email = EmailIndex(self._store).issuers
        for issuer in await of_email(name.text) if name.is_email else (name.text,):
            yield issuer

    async def _described(self, issuers: Sequence[str]) -> list[dict[str, Any]]:
        """Describe those that have a living session, each once: a scan may name one twice."""
        named = list(dict.fromkeys(issuers))
        listed = await asyncio.gather(*map(self._sessions().list_for, named))
        records = await asyncio.gather(*map(self.record, named))
        return [
            _person(issuer, living, record)
            for issuer, living, record in zip(named, listed, records, strict=True)
            if living
        ]


async def _batch(found: _Found, most: int, until_s: float, clock: Clock) -> tuple[list[str], bool]:
    """Take names, and say whether they are all; after the time, those that there are by then."""
    batch: list[str] = []
    async for each in found:
        if each is not None:
            batch.append(each)
        if len(batch) == most or clock() > until_s:
            return batch, False
    return batch, True


class _OpenSearch(NamedTuple):
    """A search that can be continued."""

    found: _Found
    timer: asyncio.TimerHandle
    """Ends it."""


def _person(
    issuer: str, living: Sequence[SessionSummary], record: AppRecord | None
) -> dict[str, Any]:
    created = [each.created_at_ms for each in living if each.created_at_ms is not None]
    seen = [each.seen_at_ms for each in living if each.seen_at_ms is not None]
    return {
        "issuer": issuer,
        "email": None if record is None else record.record.user.email,
        "sessions": len(living),
        "signed_in_at": rfc3339_if_known(max(created, default=None)),
        "last_seen_at": rfc3339_if_known(max(seen, default=None)),
    }
