"""
Lines of the audit file, and the chain that they form.

Each line is JSON. It has the MAC of the line before it of the same writer (``prev``), and ends in
its own: HMAC-SHA256 over all bytes of the line before ``,"mac":``. A line can so be checked alone,
and that it follows the one before it. A writer is one process; its first line has ``seq`` 1.
"""

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from gateway.core.audit import AuditDetail, AuditEntry
from gateway.util.rfc3339 import from_rfc3339, rfc3339

KEY_BYTES: Final = 32
FIRST_PREV: Final = "0" * 64
"""``prev`` of the first line of a writer."""
MAX_TEXT: Final = 500
"""Longest text of a member: clients choose some of them, and a line is written in one piece."""
MAX_LIST: Final = 100
"""Most entries of a list in a member."""
_DOMAIN: Final = b"gateway audit 1\n"
"""Keeps the MACs apart from those of other uses of the same key."""
_MAC: Final = re.compile(rb'(\{.*),"mac":"([0-9a-f]{64})"\}', re.DOTALL)


def machine_in_writer(host: str) -> str:
    """Return the name of a machine as names of writers have it, in front of the first colon."""
    return "".join(each if each.isalnum() or each in "-." else "-" for each in host)


class ChainLink(NamedTuple):
    """The last line of a writer, which its next one follows."""

    writer: str
    seq: int = 0
    mac: str = FIRST_PREV


class Sealed(NamedTuple):
    """A line to write, and the link that it makes."""

    line: bytes
    """With its line feed."""
    link: ChainLink


def seal(key: bytes, link: ChainLink, entry: AuditEntry, time_ms: int) -> Sealed:
    """Make the line of ``entry`` that follows ``link``."""
    members = {
        "writer": link.writer,
        "seq": link.seq + 1,
        "time": rfc3339(time_ms),
        "event": entry.event,
        "actor": _bounded(entry.actor),
        "from": _bounded(entry.origin),
        "subject": _bounded(entry.subject),
        "result": entry.result,
        "reason": _bounded(entry.reason),
        "request_id": _bounded(entry.request_id),
        "details": {name: _bounded(value) for name, value in entry.details.items()},
        "prev": link.mac,
    }
    body = orjson.dumps(members)[:-1]
    mac = mac_of(key, body)
    return Sealed(
        body + b',"mac":"%b"}\n' % mac.encode(), ChainLink(link.writer, link.seq + 1, mac)
    )


def mac_of(key: bytes, body: bytes) -> str:
    """Return the MAC of a line whose bytes before ``,"mac":`` are ``body``."""
    return hmac.digest(key, _DOMAIN + body, "sha256").hex()


def _bounded(value: AuditDetail) -> Any:
    """Cut long text and lists; what is no Unicode text loses what cannot be written."""
    if isinstance(value, str):
        text = value.encode(errors="replace").decode()
        return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    if isinstance(value, list):
        rest = len(value) - MAX_LIST
        more = [f"and {rest} more"] if rest > 0 else []
        return [_bounded(each) for each in value[:MAX_LIST]] + more
    return value


class AuditLine(NamedTuple):
    """A line that was read; ``is_genuine`` says whether a key has sealed it."""

    writer: str
    seq: int
    time_ms: int
    event: str
    prev: str
    mac: str
    body: bytes
    details: Mapping[str, Any]


def read_line(raw: bytes) -> AuditLine | None:
    """Read a line without its line feed; None for what the gateway would not have written."""
    match = _MAC.fullmatch(raw)
    if match is None:
        return None
    try:
        members = orjson.loads(raw)
        return AuditLine(
            _text(members["writer"]),
            _count(members["seq"]),
            from_rfc3339(_text(members["time"])),
            _text(members["event"]),
            _text(members["prev"]),
            match[2].decode(),
            match[1],
            members["details"] if isinstance(members["details"], dict) else {},
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def is_genuine(line: AuditLine, key: bytes) -> bool:
    """Whether ``key`` has sealed the line as it is."""
    return hmac.compare_digest(line.mac, mac_of(key, line.body))


def fingerprint(half: bytes) -> str:
    """Return what a line names a half line by: its length and its hash."""
    return f"{len(half)} {sha256(half).hexdigest()}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValueError
    return value


# --- the head of a chain, as the store keeps it --------------------------------------------------


class Head(NamedTuple):
    """The latest line of a writer, kept where an attacker with the file alone cannot change it."""

    seq: int
    mac: str
    time_ms: int
    file: str
    """The absolute path of the file that has the line, on the machine of the writer."""

    def encode(self) -> bytes:
        """Encode it for the store."""
        return orjson.dumps(self._asdict())


def read_head(record: bytes) -> Head | None:
    """Decode what `Head.encode` wrote; None where it cannot be read."""
    try:
        found = orjson.loads(record)
        mac, file = _text(found["mac"]), _text(found["file"])
        return Head(_count(found["seq"]), mac, _count(found["time_ms"]), file)
    except (ValueError, KeyError, TypeError):
        return None
