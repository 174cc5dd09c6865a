"""
Hostile answers of apps, byte by byte, and what a client must see of each.

They are held to the grammar of requests: an app that can be made to write a broken answer must not
break the next caller's.
"""

from typing import Final, NamedTuple


class HostileAnswer(NamedTuple):
    """What the app writes, and what the client sees."""

    id: str
    raw: bytes
    status: int = 502
    code: str = "bad_upstream_answer"
    """Of the problem document; empty for answers of the app."""
    body: bytes = b""
    fields: tuple[tuple[str, str], ...] = ()
    """All but those that the gateway writes."""
    is_complete: bool = True
    then_close: bool = False
    method: str = "GET"
    reason: str | None = None


OK: Final = b"HTTP/1.1 200 OK\r\n"
EMPTY: Final = b"Content-Length: 0\r\n\r\n"
EVIL: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
LENGTH_5: Final = (("Content-Length", "5"),)
CHUNKED: Final = (("Transfer-Encoding", "chunked"),)
MAX_FIELD_BYTES: Final = 64 * 1024


def bad(name: str, raw: bytes, *, then_close: bool = False) -> HostileAnswer:
    """It is no answer: the client gets ours."""
    return HostileAnswer(name, raw, then_close=then_close)


def passes(
    name: str,
    raw: bytes,
    body: bytes = b"",
    fields: tuple[tuple[str, str], ...] = (),
    *,
    status: int = 200,
    then_close: bool = False,
    method: str = "GET",
    reason: str | None = None,
) -> HostileAnswer:
    """It goes through as what it is."""
    return HostileAnswer(name, raw, status, "", body, fields, True, then_close, method, reason)


def breaks(name: str, raw: bytes, *, then_close: bool = True) -> HostileAnswer:
    """It has begun when it breaks: the client sees a message that is not complete."""
    return HostileAnswer(name, raw, 200, "", b"hello", is_complete=False, then_close=then_close)


def _field(name: str, line: bytes) -> HostileAnswer:
    return bad(f"field-{name}", OK + line + b"\r\n" + EMPTY)


def _line(name: str, line: bytes) -> HostileAnswer:
    return bad(f"line-{name}", line + b"\r\n" + EMPTY)


def _length(name: str, value: bytes) -> HostileAnswer:
    return bad(f"length-{name}", OK + b"Content-Length: " + value + b"\r\n\r\nhello")


def _coding(name: str, lines: bytes, body: bytes = b"5\r\nhello\r\n0\r\n\r\n") -> HostileAnswer:
    return bad(f"coding-{name}", OK + lines + b"\r\n\r\n" + body)


def _chunks(name: str, body: bytes) -> HostileAnswer:
    return bad(f"chunk-{name}", OK + b"Transfer-Encoding: chunked\r\n\r\n" + body)


LINES: Final = [
    passes("line-without-reason", b"HTTP/1.1 200 \r\n" + EMPTY, fields=(("Content-Length", "0"),), reason=""),
    passes("line-with-odd-reason", b"HTTP/1.1 299 Fine, by me!\r\n" + EMPTY, fields=(("Content-Length", "0"),), status=299, reason="Fine, by me!"),
    passes("line-of-1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", LENGTH_5),
    _line("status-of-two-digits", b"HTTP/1.1 20 OK"),
    _line("status-of-four-digits", b"HTTP/1.1 1000 OK"),
    _line("status-99", b"HTTP/1.1 099 OK"),
    _line("status-0", b"HTTP/1.1 000 OK"),
    _line("status-of-letters", b"HTTP/1.1 2OO OK"),
    _line("status-signed", b"HTTP/1.1 +20 OK"),
    _line("status-missing", b"HTTP/1.1"),
    _line("http-2", b"HTTP/2 200 OK"),
    _line("http-2.0", b"HTTP/2.0 200 OK"),
    _line("http-1.2", b"HTTP/1.2 200 OK"),
    _line("http-0.9", b"HTTP/0.9 200 OK"),
    _line("small-letters", b"http/1.1 200 OK"),
    _line("icy", b"ICY 200 OK"),
    _line("rtsp", b"RTSP/1.0 200 OK"),
    _line("two-spaces", b"HTTP/1.1  200 OK"),
    _line("tab", b"HTTP/1.1\t200 OK"),
    _line("space-first", b" HTTP/1.1 200 OK"),
    _line("bare-lf-first", b"\nHTTP/1.1 200 OK"),
    _line("nul-in-reason", b"HTTP/1.1 200 O\x00K"),
    _line("control-in-reason", b"HTTP/1.1 200 O\x01K"),
    _line("delete-in-reason", b"HTTP/1.1 200 O\x7fK"),
    _line("bare-cr-in-reason", b"HTTP/1.1 200 O\rK"),
    bad("line-ends-in-lf", b"HTTP/1.1 200 OK\n" + EMPTY),
    bad("line-a-request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    bad("line-that-is-long", b"HTTP/1.1 200 " + b"x" * (MAX_FIELD_BYTES + 1) + b"\r\n" + EMPTY),
    bad("http-0.9-body", b"<html>hello</html>\r\n", then_close=True),
    bad("tls-alert", b"\x15\x03\x01\x00\x02\x02\x46", then_close=True),
    HostileAnswer("nothing", b"", 502, "upstream_unreachable", then_close=True),
    HostileAnswer("head-breaks-off", OK + b"Content-Le", 502, "upstream_unreachable", then_close=True),
    HostileAnswer("head-is-withheld", OK + b"Content-Le", 504, "upstream_timeout"),
]  # fmt: skip

FIELDS: Final = [
    _field("space-before-colon", b"X-T : v"),
    _field("tab-before-colon", b"X-T\t: v"),
    _field("folded", b"X-T: v\r\n w"),
    _field("folded-first", b" X-T: v"),
    _field("without-colon", b"X-T"),
    _field("without-name", b": v"),
    _field("name-with-nul", b"X\x00T: v"),
    _field("name-with-a-space", b"X T: v"),
    _field("name-with-a-high-byte", b"X\xe9T: v"),
    _field("name-with-a-bracket", b"X[T]: v"),
    _field("value-with-nul", b"X-T: a\x00b"),
    _field("value-with-bare-cr", b"X-T: a\rb"),
    _field("value-with-bare-lf", b"X-T: a\nSet-Cookie: b=c"),
    _field("value-with-cr-cr", b"X-T: a\r\r\nX-U: b"),
    _field("value-with-01", b"X-T: a\x01b"),
    _field("value-with-escape", b"X-T: a\x1bb"),
    _field("value-with-delete", b"X-T: a\x7fb"),
    _field("that-is-long", b"X-T: " + b"v" * (MAX_FIELD_BYTES + 1)),
    _field("too-many", b"\r\n".join([b"X-T: v"] * 1001)),
    bad("fields-end-in-lf", OK + b"X-T: v\n" + EMPTY),
    bad("fields-end-in-two-lf", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    passes("field-of-latin-1", OK + b"X-T: \xe9\r\n" + EMPTY, fields=(("X-T", "\xe9"), ("Content-Length", "0"))),
    passes("field-with-tab", OK + b"X-T: a\tb\r\n" + EMPTY, fields=(("X-T", "a\tb"), ("Content-Length", "0"))),
    passes("fields-repeated", OK + b"X-b: 2\r\nx-A: 1\r\nX-B: 3\r\n" + EMPTY, fields=(("X-b", "2"), ("x-A", "1"), ("X-B", "3"), ("Content-Length", "0"))),
    passes("field-session-cookie", OK + b"Set-Cookie: session=evil\r\nSet-Cookie: a=b\r\n" + EMPTY, fields=(("Set-Cookie", "a=b"), ("Content-Length", "0"))),
    passes("fields-of-the-hop", OK + b"Connection: X-T\r\nX-T: v\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nTrailer: x\r\n" + EMPTY, fields=(("Content-Length", "0"),)),
]  # fmt: skip

FRAMINGS: Final = [
    passes("length", OK + b"Content-Length: 5\r\n\r\nhello", b"hello", LENGTH_5),
    passes("chunks", OK + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", b"hello", CHUNKED),
    passes("until-closing", OK + b"\r\nhello", b"hello", CHUNKED, then_close=True),
    passes("until-closing-in-1.0", b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello", CHUNKED, then_close=True),
    bad("both-length-first", OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    bad("both-coding-first", OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    bad("both-on-304", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    bad("two-lengths", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    bad("two-lengths-the-same", OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    _length("list", b"5, 5"),
    _length("plus", b"+5"),
    _length("minus", b"-5"),
    _length("hexadecimal", b"0x5"),
    _length("empty", b""),
    _length("two-numbers", b"5 5"),
    _length("underscore", b"0_5"),
    _length("2-to-the-64-and-5", b"18446744073709551621"),
    _length("of-40-digits", b"9" * 40),
    breaks("length-huge", OK + b"Content-Length: 9223372036854775807\r\n\r\nhello"),
    _coding("gzip-then-chunked", b"Transfer-Encoding: gzip, chunked"),
    _coding("gzip", b"Transfer-Encoding: gzip"),
    _coding("chunked-then-gzip", b"Transfer-Encoding: chunked, gzip"),
    _coding("chunked-twice", b"Transfer-Encoding: chunked, chunked"),
    _coding("two-fields", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    _coding("identity", b"Transfer-Encoding: identity"),
    _coding("identity-and-length", b"Transfer-Encoding: identity\r\nContent-Length: 5", b"hello"),
    _coding("vertical-tab", b"Transfer-Encoding: \x0bchunked"),
    _coding("xchunked", b"Transfer-Encoding: xchunked"),
    _coding("empty", b"Transfer-Encoding:"),
    bad("coding-in-1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-bad", b"G\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-with-prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-with-a-space", b"5 \r\nhello\r\n0\r\n\r\n"),
    _chunks("size-that-wraps", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    _chunks("size-ends-in-lf", b"5\nhello\r\n0\r\n\r\n"),
    _chunks("extension-with-lf", b'5;a="\n"\r\nhello\r\n0\r\n\r\n'),
    breaks("chunk-breaks-off", OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"),
    breaks("last-chunk-is-missing", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    breaks("length-breaks-off", OK + b"Content-Length: 9\r\n\r\nhello"),
    breaks("length-is-withheld", OK + b"Content-Length: 9\r\n\r\nhello", then_close=False),
    passes("trailers", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\nSet-Cookie: a=b\r\n\r\n", b"hello", CHUNKED),
]  # fmt: skip

NO_BODIES: Final = [
    passes("head", OK + b"Content-Length: 5\r\n\r\n", fields=LENGTH_5, method="HEAD"),
    passes("head-of-chunks", OK + b"Transfer-Encoding: chunked\r\n\r\n", method="HEAD"),
    passes("head-of-nothing", OK + b"\r\n", method="HEAD"),
    passes("204", b"HTTP/1.1 204 No Content\r\n\r\n", status=204),
    passes("204-with-length", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", status=204),
    passes("304-with-length", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 5\r\n\r\n", fields=(("ETag", "x"), *LENGTH_5), status=304),
    passes("204-with-a-body", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", status=204),
    passes("304-with-a-body", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", fields=LENGTH_5, status=304),
    passes("head-with-a-body", OK + b"Content-Length: 5\r\n\r\nhello", fields=LENGTH_5, method="HEAD"),
    passes("head-with-chunks", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", method="HEAD"),
    passes("204-with-an-answer", b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, status=204),
    passes("304-with-an-answer", b"HTTP/1.1 304 Not Modified\r\n\r\n" + EVIL, status=304),
    passes("head-with-an-answer", OK + b"\r\n" + EVIL, method="HEAD"),
    passes("head-with-a-body-after-hints", b"HTTP/1.1 103 Hints\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", fields=LENGTH_5, method="HEAD"),
]  # fmt: skip

INTERIM: Final = [
    passes("unsolicited-100", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + EMPTY, fields=(("Content-Length", "0"),)),
    passes("103-twice", b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" * 2 + OK + EMPTY, fields=(("Content-Length", "0"),)),
    bad("unsolicited-101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
    bad("101-bare", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    bad("103-with-a-bare-lf", b"HTTP/1.1 103 Early Hints\r\nLink: <a>\nX: y\r\n\r\n" + OK + EMPTY),
    bad("103-with-a-body", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + OK + EMPTY),
    HostileAnswer("only-interim", b"HTTP/1.1 103 Early Hints\r\n\r\n", 504, "upstream_timeout"),
    HostileAnswer("only-interim-and-closing", b"HTTP/1.1 103 Early Hints\r\n\r\n", 502, "upstream_unreachable", then_close=True),
]  # fmt: skip

TWO_ANSWERS: Final = [
    passes("two-answers", (OK + EMPTY) * 2, fields=(("Content-Length", "0"),)),
    bad("bytes-behind-an-answer", OK + b"Content-Length: 5\r\n\r\nhello world"),
    passes("line-break-behind-an-answer", OK + EMPTY + b"\r\n", fields=(("Content-Length", "0"),)),
    passes("answer-behind-chunks", OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + OK + EMPTY, fields=CHUNKED),
    passes("last-answer", OK + b"Connection: close\r\n" + EMPTY, fields=(("Content-Length", "0"),), then_close=True),
]  # fmt: skip

HOSTILE_ANSWERS: Final[list[HostileAnswer]] = [
    *LINES,
    *FIELDS,
    *FRAMINGS,
    *NO_BODIES,
    *INTERIM,
    *TWO_ANSWERS,
]
