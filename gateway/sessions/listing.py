"""
What is kept of a session for the person whose it is, beside the session itself.

It is sealed with a key of the server's alone, so that it can be shown without the cookie: a stolen
store tells nothing of it, and whoever can write there can put nothing into anybody's list.
"""

import re
from typing import NamedTuple

import orjson

from gateway.core.identity import UNKNOWN_BROWSER, Browser, SessionSummary
from gateway.sessions.seal import SealBroken, Sealer, public_id
from gateway.util.rfc3339 import LAST_MS

_DIGITS = re.compile(rb"[0-9]{1,15}")


class SignIn(NamedTuple):
    """How a session began. Time is Unix time in milliseconds."""

    browser: Browser
    created_at_ms: int


class ListEntry(NamedTuple):
    """A session on its issuer's list. Times are Unix times in milliseconds."""

    session_key: str
    ends_at_ms: int
    """At the latest."""
    seen_at_ms: int
    sign_in: SignIn | None
    """None where what is sealed does not open: by a key that is gone, or altered."""


def summary_of(entry: ListEntry, *, is_used: bool) -> SessionSummary:
    """What to show of ``entry``; ``is_used`` says whether use is written down."""
    return SessionSummary(
        id=public_id(entry.session_key),
        session_key=entry.session_key,
        browser=entry.sign_in.browser if entry.sign_in else UNKNOWN_BROWSER,
        created_at_ms=entry.sign_in.created_at_ms if entry.sign_in else None,
        seen_at_ms=entry.seen_at_ms if is_used else None,
        expires_at_ms=entry.ends_at_ms,
    )


def seal(sealer: Sealer, issuer: str, session_key: str, sign_in: SignIn, nonce: bytes) -> bytes:
    """``sign_in`` for the list of ``issuer``, at ``session_key`` and nowhere else."""
    record = orjson.dumps([sign_in.created_at_ms, *sign_in.browser])
    return sealer.seal_entry(_place(issuer, session_key), record, nonce)


def parse(sealer: Sealer, issuer: str, session_key: str, entry: bytes) -> ListEntry:
    """An entry as it is on the list of ``issuer``. Raises ValueError for what is none."""
    ends, seen, sealed = entry.split(b" ", 2)
    try:
        sign_in = _sign_in(sealer.open_entry(_place(issuer, session_key), sealed))
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
    """Neither holds a NUL, so that no two places are one."""
    return f"{issuer}\0{session_key}"
