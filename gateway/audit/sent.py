"""Lines that commands on other machines send to the admin API, sealed with the key of the file."""

import hmac
from typing import Any, Final

import orjson

from gateway.core.audit import AuditEntry, AuditEvent

WINDOW_MS: Final = 300_000
"""How far the clocks of two machines may be apart; a line is taken once within it."""
_DOMAIN: Final = b"gateway audit sent 1\n"
_OF_CHAINS: Final = "audit."
"""Events by which `gateway.audit.verify` tells what a writer has seen of its own file."""
_EVENTS: Final = {str(event): event for event in AuditEvent}
_MAX_SEEN: Final = 10_000


def seal_sent(key: bytes, entry: AuditEntry, now_ms: int) -> bytes:
    """Make the body of the request that sends ``entry``."""
    text = orjson.dumps({**entry._asdict(), "details": {**entry.details}, "time_ms": now_ms})
    return orjson.dumps({"line": text.decode(), "mac": _mac(key, text)})


class SentLines:
    """Reads such bodies, each once."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.seen: dict[str, int] = {}
        """MACs of lines that were taken, by when they are too old to be taken again."""

    def read(self, body: bytes, now_ms: int) -> AuditEntry:
        """Return the entry. Raises `ValueError` where it cannot be taken."""
        try:
            sent = orjson.loads(body)
            text, mac = str(sent["line"]).encode(), str(sent["mac"])
        except (ValueError, KeyError, TypeError):
            raise ValueError("expected a line and its MAC") from None
        if not hmac.compare_digest(_mac(self._key, text).encode(), mac.encode()):
            raise ValueError("the line is not sealed with audit.key")
        entry, time_ms = _entry(orjson.loads(text))
        if abs(now_ms - time_ms) > WINDOW_MS:
            raise ValueError("the line is too old, or the clocks differ")
        self._take(mac, time_ms, now_ms)
        return entry

    def take_over(self, other: "SentLines") -> None:
        """Take no line that ``other`` has taken."""
        self.seen.update(other.seen)

    def _take(self, mac: str, time_ms: int, now_ms: int) -> None:
        if len(self.seen) >= _MAX_SEEN:
            self.seen = {each: at for each, at in self.seen.items() if at >= now_ms}
        if mac in self.seen or len(self.seen) >= _MAX_SEEN:
            raise ValueError("the line was taken before")
        self.seen[mac] = time_ms + WINDOW_MS


def _entry(members: Any) -> tuple[AuditEntry, int]:
    """Read a sealed line, and when it was sent. Raises `ValueError`."""
    try:
        time_ms, event = int(members.pop("time_ms")), _EVENTS[members["event"]]
        entry = AuditEntry(**{**members, "event": event, "details": {**members["details"]}})
    except (ValueError, KeyError, TypeError):
        raise ValueError("the line is of another version") from None
    if event.startswith(_OF_CHAINS):
        raise ValueError("lines about a chain are not for commands")
    return entry, time_ms


def _mac(key: bytes, text: bytes) -> str:
    return hmac.digest(key, _DOMAIN + text, "sha256").hex()
