"""
Entries of the list that shows users their own sessions.

An entry is encrypted with a server key alone, so that it can be shown without the session's cookie.
A stolen store reveals nothing of it, and an attacker with write access cannot forge one.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from ipaddress import ip_address
from typing import NamedTuple

import orjson

from gateway.core.identity import UNKNOWN_BROWSER, Browser, SessionSummary
from gateway.sessions.seal import SESSION, SealBroken, Sealer, public_id
from gateway.store.armour import bare
from gateway.util.rfc3339 import LAST_MS

_DIGITS = re.compile(rb"[0-9]{1,15}")
_SHORT_NUMBER = re.compile(rb"[0-9a-z]{1,11}")
_HASH = re.compile(r"[0-9a-f]{64}")
_SHORT_FIELD = re.compile(r"[A-Za-z0-9_-]{43}")

_MARK = b"~"
"""First byte of an entry whose times are in base 36; those of the previous version are digits."""

_DIGITS_36 = "0123456789abcdefghijklmnopqrstuvwxyz"

# Names of devices by number; see `gateway.sessions.user_agent`. New ones go to the end: entries of
# earlier versions hold the numbers.
_BROWSERS = (
    *("", "Unknown device", "Edge", "Opera", "Samsung Internet", "Vivaldi", "Yandex Browser"),
    *("Firefox", "Chrome", "Safari", "iPhone", "iPad", "Android", "ChromeOS", "Windows", "macOS"),
    "Linux",
)
_SYSTEMS = ("", "iPhone", "iPad", "Android", "ChromeOS", "Windows", "macOS", "Linux")

_TIME_BYTES = 6
_PACKED_AT = _TIME_BYTES + 2
_PACKED_BEFORE_MS = ord("[") << 40
"""A packed time never begins as JSON does; that is in the year 5138."""


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


# --- an entry in the store ------------------------------------------------------------------------

# Redis keeps a hash in one piece of memory while no field and no value is longer than 64 bytes, and
# takes twice as much otherwise. An entry is short enough where browser and address are of the usual
# kinds: mark, end and last use in base 36, each with a space, and some 40 sealed bytes.


def field_of(session_key: str) -> str:
    """Return the field of a session on its issuer's list: what its key says in fewer letters."""
    digits = session_key.removeprefix(SESSION)
    if _HASH.fullmatch(digits) is None:
        return session_key
    return urlsafe_b64encode(bytes.fromhex(digits)).decode().rstrip("=")


def key_in(field: str) -> str:
    """Return the key of the session in ``field``; the previous version wrote the key itself."""
    if _SHORT_FIELD.fullmatch(field) is None:
        return field
    return SESSION + urlsafe_b64decode(field + "=").hex()


def encode(
    sealer: Sealer, issuer: str, session_key: str, ends_at_ms: int, sign_in: SignIn
) -> tuple[str, bytes]:
    """
    Encode an entry in two parts, of which the second is ``sign_in``, sealed.

    It opens for no other issuer or session. A script joins them: a REST API takes text alone, so
    that the sealed part travels, and may stand, in another form.
    """
    record = _packed(sign_in) or orjson.dumps([sign_in.created_at_ms, *sign_in.browser])
    sealed = sealer.seal_entry(_place(issuer, session_key), record)
    times = f"{base36(ends_at_ms)} {base36(sign_in.created_at_ms)} "
    return _MARK.decode() + times, sealed


def parse(sealer: Sealer, issuer: str, session_key: str, entry: bytes) -> ListEntry:
    """
    Parse an entry of the list of ``issuer``. Raises ValueError for a malformed one.

    A script has put it together, so the sealed part may be armoured within it.
    """
    read = _instant_ms
    if entry.startswith(_MARK):
        entry, read = entry.removeprefix(_MARK), _short_instant_ms
    ends, seen, sealed = entry.split(b" ", 2)
    try:
        sign_in = _sign_in(sealer.open_entry(_place(issuer, session_key), bare(sealed)))
    except SealBroken:
        sign_in = None
    return ListEntry(session_key, read(ends), read(seen), sign_in)


def base36(number: int) -> str:
    """Write a whole number with ten digits and 26 letters, as the scripts read it."""
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS_36[digit] + digits
    return digits


def _packed(sign_in: SignIn) -> bytes | None:
    """Pack a sign-in: its time, the device by number, the address; None where that is unusual."""
    browser, created_at_ms = sign_in.browser, sign_in.created_at_ms
    name, _, system = browser.device.partition(" on ")
    if name not in _BROWSERS or system not in _SYSTEMS or created_at_ms >= _PACKED_BEFORE_MS:
        return None
    try:
        address = ip_address(browser.address) if browser.address else None
    except ValueError:
        return None
    device = bytes((_BROWSERS.index(name), _SYSTEMS.index(system)))
    record = created_at_ms.to_bytes(_TIME_BYTES, "big") + device
    record += address.packed if address else b""
    return record if _sign_in(record) == sign_in else None


def _sign_in(record: bytes) -> SignIn:
    if record.startswith(b"["):
        created_at_ms, device, address = orjson.loads(record)
        return SignIn(Browser(device, address), created_at_ms)
    time, device, packed = record[:_TIME_BYTES], record[_TIME_BYTES:_PACKED_AT], record[_PACKED_AT:]
    name, system = _named(_BROWSERS, device[0]), _named(_SYSTEMS, device[1])
    address = str(ip_address(packed)) if packed else ""
    described = f"{name} on {system}" if system else name
    return SignIn(Browser(described, address), int.from_bytes(time, "big"))


def _named(names: tuple[str, ...], number: int) -> str:
    """Return the name of a device's part; empty for one of a later version."""
    return names[number] if number < len(names) else ""


def _short_instant_ms(digits: bytes) -> int:
    if not _SHORT_NUMBER.fullmatch(digits):
        raise ValueError("not a time")
    return _no_later(int(digits, 36))


def _no_later(instant_ms: int) -> int:
    if instant_ms > LAST_MS:
        raise ValueError("not a time")
    return instant_ms


def _instant_ms(digits: bytes) -> int:
    if not _DIGITS.fullmatch(digits):
        raise ValueError("not a time")
    return _no_later(int(digits))


def _place(issuer: str, session_key: str) -> str:
    """Join both; neither holds a NUL, so that the result is unambiguous."""
    return f"{issuer}\0{session_key}"
