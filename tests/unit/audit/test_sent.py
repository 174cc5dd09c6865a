"""Lines that commands on other machines send."""

import orjson
import pytest

from gateway.audit import sent
from gateway.audit.sent import WINDOW_MS, SentLines, seal_sent
from gateway.core.audit import AuditEntry, AuditEvent
from tests.fakes.audit import KEY, TIME_MS

ENTRY = AuditEntry(AuditEvent.ROLE_GRANTED, "ada@desk", "did:ethr:0x1", details={"roles": ["a"]})


def test_a_sent_line_is_taken_once() -> None:
    """As it was meant; a second time it is a replay."""
    lines = SentLines(KEY)
    body = seal_sent(KEY, ENTRY, TIME_MS)
    assert ENTRY == lines.read(body, TIME_MS + 5)
    with pytest.raises(ValueError, match="before"):
        lines.read(body, TIME_MS + 6)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "expected a line"),
        (b"[]", "expected a line"),
        (b'{"line":"{}"}', "expected a line"),
        (b'{"line":"{}","mac":"\xc3\xa9"}', "not sealed"),
        (seal_sent(b"x" * 32, ENTRY, TIME_MS), "not sealed"),
        (seal_sent(KEY, ENTRY, TIME_MS).replace(b"ada", b"eve"), "not sealed"),
        (seal_sent(KEY, ENTRY, TIME_MS - WINDOW_MS - 1), "too old"),
        (seal_sent(KEY, ENTRY, TIME_MS + WINDOW_MS + 1), "too old"),
    ],
)
def test_what_is_not_taken(body: bytes, problem: str) -> None:
    """Without the key, of another time, or of no shape."""
    with pytest.raises(ValueError, match=problem):
        SentLines(KEY).read(body, TIME_MS)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"event": "x"}, "another version"),
        ({"colour": "red"}, "another version"),
        ({"details": None}, "another version"),
        ({"time_ms": None}, "another version"),
        *(({"event": event}, "not for commands") for event in AuditEvent if event[:6] == "audit."),
    ],
)
def test_a_sealed_line_that_no_command_sends_is_not_taken(
    changes: dict[str, object], problem: str
) -> None:
    """Of another version; or about the chain of the gateway, which alone knows that."""
    line = orjson.dumps({**ENTRY._asdict(), "time_ms": TIME_MS, **changes})
    body = orjson.dumps({"line": line.decode(), "mac": sent._mac(KEY, line)})
    with pytest.raises(ValueError, match=problem):
        SentLines(KEY).read(body, TIME_MS)


def test_memory_for_replays_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too old makes room; else no line is taken, rather than one twice."""
    monkeypatch.setattr(sent, "_MAX_SEEN", 2)
    lines = SentLines(KEY)
    for at_ms in (TIME_MS, TIME_MS + 1):
        lines.read(seal_sent(KEY, ENTRY, at_ms), TIME_MS)
    with pytest.raises(ValueError, match="before"):
        lines.read(seal_sent(KEY, ENTRY, TIME_MS + 2), TIME_MS)
    later_ms = TIME_MS + WINDOW_MS + 2
    assert ENTRY == lines.read(seal_sent(KEY, ENTRY, later_ms), later_ms)
