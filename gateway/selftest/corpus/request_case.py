"""
What a hostile request is, and how the tables of this package write one.

Each case is held to what must become of it: the answers, and the requests that reach the app.
"""

from typing import Final, NamedTuple

HEAD_BYTES: Final = 4096
FIELDS: Final = 20
BODY_BYTES: Final = 1 << 20
IDLE_S: Final = 1
"""What the gateway is configured with that the expected answers hold for."""

RawParts = bytes | tuple[bytes, ...]


class ExpectedAnswer(NamedTuple):
    """One answer."""

    status: int = 200
    code: str = ""
    """Of the problem document; empty for answers of the app."""


class ExpectedRequest(NamedTuple):
    """One request as the app saw it; what the gateway adds to each is left out."""

    method: str = "GET"
    target: str = "/public/x"
    host: str = "x"
    fields: tuple[tuple[str, str], ...] = ()
    """All others, in order."""
    body: bytes = b""


class HostileRequest(NamedTuple):
    """What is sent, and what must come of it."""

    id: str
    parts: tuple[bytes, ...]
    """Sent one after the other with a pause between them."""
    answers: tuple[ExpectedAnswer, ...]
    closes: bool
    seen: tuple[ExpectedRequest, ...] = ()
    is_one_read: bool = False
    """Whether the verdict depends on which bytes arrive together."""


BAD: Final = ExpectedAnswer(400, "bad_request")
TARGET: Final = ExpectedAnswer(400, "bad_target")
HOST: Final = ExpectedAnswer(400, "bad_host")
LATE: Final = ExpectedAnswer(408, "request_timeout")
BIG: Final = ExpectedAnswer(413, "body_too_large")
LONG: Final = ExpectedAnswer(431, "head_too_large")
EXPECTATION: Final = ExpectedAnswer(417, "expectation_failed")
METHOD: Final = ExpectedAnswer(501, "unsupported_method")
NOT_ALLOWED: Final = ExpectedAnswer(405, "method_not_allowed")
CODING: Final = ExpectedAnswer(501, "unsupported_coding")
UPGRADE: Final = ExpectedAnswer(501, "unsupported_upgrade")
VERSION: Final = ExpectedAnswer(505, "unsupported_version")
OK: Final = ExpectedAnswer()

GET: Final = b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\n"
SECOND: Final = b"GET /public/y HTTP/1.1\r\nHost: x\r\n\r\n"
SAW_SECOND: Final = ExpectedRequest(target="/public/y")
CHUNKED: Final = ("Transfer-Encoding", "chunked")
POSTED: Final = ExpectedRequest("POST", fields=(CHUNKED,))


def length(octets: int) -> tuple[str, str]:
    """The field that says so."""
    return "Content-Length", str(octets)


def _parts(raw: RawParts) -> tuple[bytes, ...]:
    return raw if isinstance(raw, tuple) else (raw,)


def refused(
    name: str, raw: RawParts, verdict: ExpectedAnswer = BAD, *, is_one_read: bool = False
) -> HostileRequest:
    """Answered by the gateway alone; the connection closes and no app hears of it."""
    return HostileRequest(name, _parts(raw), (verdict,), closes=True, is_one_read=is_one_read)


def passes(
    name: str,
    raw: RawParts,
    *seen: ExpectedRequest,
    closes: bool = False,
    is_one_read: bool = False,
) -> HostileRequest:
    """Each request goes through as what it is; the connection goes on."""
    return HostileRequest(name, _parts(raw), (OK,) * len(seen), closes, seen, is_one_read)


def raw_get(*lines: bytes, line: bytes = b"GET /public/x HTTP/1.1", rest: bytes = b"") -> bytes:
    return b"\r\n".join((line, *lines, b"", rest))


def raw_post(field: bytes, rest: bytes = b"") -> bytes:
    """A POST with ``field`` and then ``rest`` as its body."""
    return raw_get(b"Host: x", field, line=b"POST /public/x HTTP/1.1", rest=rest)


def raw_line(line: bytes) -> bytes:
    """A request line over good fields."""
    return raw_get(b"Host: x", line=line)


def raw_target(target: bytes) -> bytes:
    return raw_line(b"GET " + target + b" HTTP/1.1")


def raw_chunks(body: bytes) -> bytes:
    return raw_post(b"Transfer-Encoding: chunked", body)


LAST: Final = b"0\r\n\r\n"
