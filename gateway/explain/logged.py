"""Requests of the past: what the access log has of one, and the question that asks it again."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from gateway.explain.question import DEFAULT_PEER, Question
from gateway.explain.trace import Explanation, StageVerdict

LogEntry = Mapping[str, Any]
"""The fields of a line, by name."""

_TEXT = re.compile(
    r'(?P<client>"(?:[^"\\]|\\.)*"|\S+) - (?P<issuer>"(?:[^"\\]|\\.)*"|\S+) \[(?P<time>[^\]]*)\] '
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\S+) (?P<bytes>\S+)(?: "(?:[^"\\]|\\.)*"'
    r' "(?P<user_agent>(?:[^"\\]|\\.)*)")?(?P<others>.*)'
)
_NAMED = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|\S+)')
_REQUEST = re.compile(r"(?P<method>\S+) (?P<path>.*) HTTP/(?P<version>[0-9.]+)")
_ESCAPE = re.compile(r"\\(.)")
_NUMBERS: Final = ("status", "bytes", "bytes_in", "ms", "upstream_ms")

_MAX_NUMBER: Final = 2**63
"""JSON has no larger ones."""

_NOT_LOGGED: Final = (
    "the log has no query, no header fields and no credentials: this is the request without them",
    "roles, limits, sessions and the config are those of now, not of then",
)


def find_entry(lines: Iterable[str], request_id: str) -> LogEntry | None:
    """Find the line of a request in an access log, in JSON or in text; None if it is not there."""
    for line in lines:
        if request_id in line and (entry := _read(line.strip())).get("id") == request_id:
            return entry
    return None


def _read(line: str) -> LogEntry:
    """Read a line; empty for one that is none of the access log."""
    if line.startswith("{"):
        try:
            return dict(orjson.loads(line))
        except orjson.JSONDecodeError:
            return {}
    found = _TEXT.fullmatch(line)
    if found is None:
        return {}
    entry: dict[str, Any] = {
        name: _plain(found[name] or "")
        for name in ("client", "issuer", "time", "status", "bytes", "user_agent")
    }
    if (request := _REQUEST.fullmatch(_plain(found["request"]))) is not None:
        entry |= {name: _plain(value) for name, value in request.groupdict().items()}
    entry |= {name: _plain(value) for name, value in _NAMED.findall(found["others"])}
    return {name: _number(value) if name in _NUMBERS else value for name, value in entry.items()}


def _plain(text: str) -> str:
    """Return a value without its quotes; a hyphen stands for none."""
    if text.startswith('"') and text.endswith('"'):
        text = text[1:-1]
    return "" if text == "-" else _ESCAPE.sub(r"\1", text)


def _number(text: str) -> float | int | None:
    """Return the number in ``text``; None for what the gateway would not have written."""
    try:
        number = int(text) if text.isdigit() else float(text)
    except ValueError:
        return None
    return number if abs(number) < _MAX_NUMBER else None


class AskedAgain(NamedTuple):
    """A request of the log, as it can be asked again."""

    question: Question | None
    """None where the log does not have enough of it."""
    notes: tuple[str, ...]


def asked_again(entry: LogEntry) -> AskedAgain:
    """Return the request of ``entry``, as far as the log has it."""

    def text(name: str) -> str:
        return str(entry.get(name) or "")

    path = text("path")
    if not path.startswith("/"):
        return AskedAgain(None, ("the log has no path of it: it cannot be explained again",))
    url = path
    if host := text("host"):
        url = f"{text('scheme') or 'http'}://{host}{path}"
    notes = list(_NOT_LOGGED)
    if text("verify"):
        notes.append("a proxy in front asked about it: this is the request that was asked about")
    fields = tuple((name, value) for name, value in (("User-Agent", text("user_agent")),) if value)
    method = text("verify") or text("method") or "GET"
    peer = text("client") or DEFAULT_PEER
    return AskedAgain(Question(method, url, fields, peer, text("issuer")), tuple(notes))


def logged_explanation(entry: LogEntry) -> Explanation:
    """Return what the log says of a request, as an explanation without stages."""
    refusal = str(entry.get("refusal") or "")
    status = entry.get("status")
    return Explanation(
        entry.get("route") or None,
        StageVerdict.REFUSED if refusal else StageVerdict.ADMITTED,
        status if isinstance(status, int) else None,
        refusal,
        str(entry.get("reason") or ""),
        {name: entry.get(name) for name in ("method", "host", "path", "client")},
        (),
    )
