"""The users that are signed in, by their lists of sessions in the store."""

from asyncio import gather
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Final, NamedTuple

from gateway.cli.issuers import find_issuers
from gateway.config.schema import Settings
from gateway.core.identity import SessionSummary
from gateway.core.issuer import is_user
from gateway.core.ports import Store
from gateway.runtime.services.store import SharedStore, scan_keys
from gateway.sessions import email_index, index
from gateway.sessions.email_index import EmailIndex
from gateway.sessions.listing import field_of
from gateway.sessions.redis import RedisSessions
from gateway.users.app_record import parse
from gateway.users.records import key_of

DEFAULT_LIMIT: Final = 1000
MAX_LIMIT: Final = 100_000

_BATCH: Final = 100
"""Users that the store is asked about at one time."""


class EmailFilter(NamedTuple):
    """Selects users by email address, in canonical spelling."""

    text: str
    """An address, or ``@`` and a domain."""
    is_domain: bool

    def matches(self, email: str) -> bool:
        """Whether it selects the user of a canonical address."""
        return email.endswith(self.text) if self.is_domain else email == self.text


class SignedIn(NamedTuple):
    """A user with at least one living session. Times are Unix times in milliseconds."""

    issuer: str
    email: str | None
    """None where neither the record of the user nor the index of emails names one."""
    sessions: int
    signed_in_at_ms: int | None
    """The latest sign-in; None where no entry of the list opens."""
    seen_at_ms: int | None
    """None where use is not recorded."""
    expires_at_ms: int


async def signed_in(
    settings: Settings,
    shared: SharedStore,
    sessions: RedisSessions,
    wanted: EmailFilter | None,
    limit: int,
) -> tuple[list[SignedIn], bool]:
    """
    List up to ``limit`` users that are signed in, and whether there are more.

    Scans the keys of the store until it has found them, and again for the emails of those whose
    record has expired. Raises `StoreUnavailable` or `MagicUnavailable`.
    """
    emails: dict[str, str] = {}
    users: list[SignedIn] = []
    async with aclosing(_issuers(settings, shared, wanted, emails)) as issuers:
        async for batch in _batches(issuers):
            users += await _users(sessions, batch)
            if len(users) > limit:
                break
    found = users[:limit]
    emails |= await _recorded_emails(shared.store, [user.issuer for user in found])
    if any(user.issuer not in emails for user in found):
        emails = {**await _indexed_emails(settings, shared.store), **emails}
    return [user._replace(email=emails.get(user.issuer)) for user in found], len(users) > limit


async def owner_of(settings: Settings, store: Store, session_key: str) -> str | None:
    """
    Find the issuer on whose list a session is: its record opens with its cookie alone.

    Reads all lists. Raises `StoreUnavailable`.
    """
    wanted = {session_key.encode(), field_of(session_key).encode()}
    async with aclosing(scan_keys(settings, index.PREFIX)) as keys:
        async for batch in _batches(keys):
            lists = await gather(*(store.run(index.LISTED, [key], []) for key in batch))
            for key, members in zip(batch, lists, strict=True):
                if isinstance(members, list) and wanted.intersection(members[::2]):
                    return key.removeprefix(index.PREFIX)
    return None


async def _issuers(
    settings: Settings, shared: SharedStore, wanted: EmailFilter | None, emails: dict[str, str]
) -> AsyncGenerator[str, None]:
    """Yield issuers that may be signed in, each once; note in ``emails`` by which email."""
    if wanted is not None and not wanted.is_domain:
        for issuer in (await find_issuers(settings, shared, wanted.text)).issuers:
            emails[issuer] = wanted.text
            yield issuer
        return
    seen: set[str] = set()
    start = index.PREFIX if wanted is None else email_index.PREFIX
    async with aclosing(scan_keys(settings, start)) as keys:
        async for key in keys:
            text = key.removeprefix(start)
            if wanted is None:
                issuers: Sequence[str] = [text] if is_user(text) else []
            else:
                issuers = await _of_email(shared.store, text) if wanted.matches(text) else ()
                emails |= dict.fromkeys(issuers, text)
            for issuer in issuers:
                if issuer not in seen:
                    seen.add(issuer)
                    yield issuer


async def _users(sessions: RedisSessions, issuers: Iterable[str]) -> list[SignedIn]:
    """Summarise those issuers that have a living session."""
    named = list(issuers)
    listed = await gather(*map(sessions.list_for, named))
    return [
        _summary(issuer, living) for issuer, living in zip(named, listed, strict=True) if living
    ]


def _summary(issuer: str, living: Sequence[SessionSummary]) -> SignedIn:
    created = [session.created_at_ms for session in living if session.created_at_ms is not None]
    seen = [session.seen_at_ms for session in living if session.seen_at_ms is not None]
    expires_at_ms = max(session.expires_at_ms for session in living)
    latest, last_seen = max(created, default=None), max(seen, default=None)
    return SignedIn(issuer, None, len(living), latest, last_seen, expires_at_ms)


async def _recorded_emails(store: Store, issuers: Sequence[str]) -> dict[str, str]:
    """Read the emails in the records of users, by issuer."""
    emails = {}
    left = iter(issuers)
    while batch := tuple(islice(left, _BATCH)):
        records = await gather(*(store.get(key_of(issuer)) for issuer in batch))
        for issuer, text in zip(batch, records, strict=True):
            stored = None if text is None else parse(text, issuer)
            if stored is not None and stored.record.user.email is not None:
                emails[issuer] = stored.record.user.email
    return emails


async def _indexed_emails(settings: Settings, store: Store) -> dict[str, str]:
    """Read the emails in the index, by issuer."""
    emails: dict[str, str] = {}
    async with aclosing(scan_keys(settings, email_index.PREFIX)) as keys:
        async for batch in _batches(keys):
            texts = [key.removeprefix(email_index.PREFIX) for key in batch]
            found = await gather(*(_of_email(store, text) for text in texts))
            for text, issuers in zip(texts, found, strict=True):
                emails |= dict.fromkeys(issuers, text)
    return emails


async def _of_email(store: Store, email: str) -> tuple[str, ...]:
    return await EmailIndex(store).issuers(email)


async def _batches(names: AsyncIterator[str]) -> AsyncIterator[list[str]]:
    batch: list[str] = []
    async for name in names:
        batch.append(name)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
