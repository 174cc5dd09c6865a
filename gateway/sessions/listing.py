"""
Entries of the list that shows users their own sessions.

An entry is encrypted with a server key alone, so that it can be shown without the session's cookie.
A stolen store reveals nothing of it, and an attacker with write access cannot forge one.
"""

import re
from typing import NamedTuple

import orjson

from gateway.core.identity import UNKNOWN_BROWSER, Browser, SessionSummary
from gateway.sessions.seal import SealBroken, Sealer, public_id
from gateway.store.armour import bare
from gateway.util.rfc3339 import LAST_MS

_DIGITS = re.compile(rb"[0-9]{1,15}")


class SignIn(NamedTuple):
    """Sign-in that began a session. Time is Unix time in milliseconds."""

    browser: Browser
    created_at_ms: int


class ListEntry(NamedTuple):
    """A session on its issuer's list. Times are Unix times in milliseconds."""

    session_key: str
    ends_at_ms: int
    """Latest end of the session; it may end earlier."""
    seen_at_ms: int
    sign_in: SignIn | None
    """None where the sealed part does not open: its key is gone, or it was altered."""


def summary_of(entry: ListEntry, *, is_used: bool) -> SessionSummary:
    """Summarise ``entry`` for its owner; ``is_used`` says whether use is recorded."""
    return SessionSummary(
        id=public_id(entry.session_key),
        session_key=entry.session_key,
        browser=entry.sign_in.browser if entry.sign_in else UNKNOWN_BROWSER,
        created_at_ms=entry.sign_in.created_at_ms if entry.sign_in else None,
        seen_at_ms=entry.seen_at_ms if is_used else None,
        expires_at_ms=entry.ends_at_ms,
    )


def seal(sealer: Sealer, issuer: str, session_key: str, sign_in: SignIn, nonce: bytes) -> bytes:
    """Seal ``sign_in`` for this issuer and session; it opens for no other."""
    record = orjson.dumps([sign_in.created_at_ms, *sign_in.browser])
    return sealer.seal_entry(_place(issuer, session_key), record, nonce)


def parse(sealer: Sealer, issuer: str, session_key: str, entry: bytes) -> ListEntry:
    """
    Parse an entry of the list of ``issuer``. Raises ValueError for a malformed one.

    A script has put it together, so the sealed part may be armoured within it.
    """
    ends, seen, sealed = entry.split(b" ", 2)
    try:
        sign_in = _sign_in(sealer.open_entry(_place(issuer, session_key), bare(sealed)))
    except SealBroken:
        sign_in = None
    return ListEntry(session_key, _instant_ms(ends), _instant_ms(seen), sign_in)


def _sign_in(record: bytes) -> SignIn:
    created_at_ms, device, address = orjson.loads(record)
    return SignIn(Browser(device, address), created_at_ms)


def _instant_ms(digits: bytes) -> int:
    if not _DIGITS.fullmatch(digits) or int(digits) > LAST_MS:
        raise ValueError("not a time")
    return int(digits)


def _place(issuer: str, session_key: str) -> str:
    """Join both; neither holds a NUL, so that the result is unambiguous."""
    return f"{issuer}\0{session_key}"
