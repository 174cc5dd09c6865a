"""
Hostile requests, byte by byte, and what must become of each.

Most are known ways to make two parsers read one text differently. The rest shows that the net is
not so fine that plain requests get caught in it.
"""

from typing import Final, NamedTuple

from tests.fakes.upstream import Seen

HEAD_BYTES: Final = 4096
FIELDS: Final = 20
BODY_BYTES: Final = 1 << 20
IDLE_S: Final = 1
"""What the gateway is configured with, see `test_requests`."""

Part = bytes | tuple[bytes, ...]


class Verdict(NamedTuple):
    """One answer."""

    status: int = 200
    code: str = ""
    """Of the problem document; empty for answers of the app."""


class Saw(NamedTuple):
    """One request as the app saw it; what the gateway adds to each is left out."""

    method: str = "GET"
    target: str = "/public/x"
    host: str = "x"
    fields: tuple[tuple[str, str], ...] = ()
    """All others, in order."""
    body: bytes = b""


class Case(NamedTuple):
    """What is sent, and what must come of it."""

    id: str
    parts: tuple[bytes, ...]
    """Sent one after the other with a pause between them."""
    answers: tuple[Verdict, ...]
    closes: bool
    seen: tuple[Saw, ...] = ()
    is_one_read: bool = False
    """Whether the verdict depends on which bytes arrive together."""


ADDED: Final = {
    *("host", "via", "forwarded", "x-request-id"),
    *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
}
"""The fields that the gateway writes."""


def as_saw(seen: Seen) -> Saw:
    """What the app saw, in the terms of the table."""
    (host,) = seen.values("Host")
    others = tuple(field for field in seen.headers if field[0].lower() not in ADDED)
    return Saw(seen.method, seen.target, host, others, seen.body)


BAD: Final = Verdict(400, "bad_request")
TARGET: Final = Verdict(400, "bad_target")
HOST: Final = Verdict(400, "bad_host")
LATE: Final = Verdict(408, "request_timeout")
BIG: Final = Verdict(413, "body_too_large")
LONG: Final = Verdict(431, "head_too_large")
EXPECTATION: Final = Verdict(417, "expectation_failed")
METHOD: Final = Verdict(501, "unsupported_method")
NOT_ALLOWED: Final = Verdict(405, "method_not_allowed")
CODING: Final = Verdict(501, "unsupported_coding")
UPGRADE: Final = Verdict(501, "unsupported_upgrade")
VERSION: Final = Verdict(505, "unsupported_version")
OK: Final = Verdict()

GET: Final = b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\n"
SECOND: Final = b"GET /public/y HTTP/1.1\r\nHost: x\r\n\r\n"
SAW_SECOND: Final = Saw(target="/public/y")
CHUNKED: Final = ("Transfer-Encoding", "chunked")
POSTED: Final = Saw("POST", fields=(CHUNKED,))


def length(octets: int) -> tuple[str, str]:
    """The field that says so."""
    return "Content-Length", str(octets)


def _parts(raw: Part) -> tuple[bytes, ...]:
    return raw if isinstance(raw, tuple) else (raw,)


def refused(name: str, raw: Part, verdict: Verdict = BAD, *, is_one_read: bool = False) -> Case:
    """Answered by the gateway alone; the connection closes and no app hears of it."""
    return Case(name, _parts(raw), (verdict,), closes=True, is_one_read=is_one_read)


def passes(
    name: str, raw: Part, *seen: Saw, closes: bool = False, is_one_read: bool = False
) -> Case:
    """Each request goes through as what it is; the connection goes on."""
    return Case(name, _parts(raw), (OK,) * len(seen), closes, seen, is_one_read)


def _get(*lines: bytes, line: bytes = b"GET /public/x HTTP/1.1", rest: bytes = b"") -> bytes:
    return b"\r\n".join((line, *lines, b"", rest))


def _with(field: bytes, rest: bytes = b"") -> bytes:
    """A POST with ``field`` and then ``rest`` as its body."""
    return _get(b"Host: x", field, line=b"POST /public/x HTTP/1.1", rest=rest)


def _line(line: bytes) -> bytes:
    """A request line over good fields."""
    return _get(b"Host: x", line=line)


def _target(target: bytes) -> bytes:
    return _line(b"GET " + target + b" HTTP/1.1")


def _chunks(body: bytes) -> bytes:
    return _with(b"Transfer-Encoding: chunked", body)


LAST: Final = b"0\r\n\r\n"

LENGTHS: Final = [
    passes("length", _with(b"Content-Length: 5", b"hello"), Saw("POST", fields=(length(5),), body=b"hello")),
    passes("length-zero", _with(b"Content-Length: 0"), Saw("POST", fields=(length(0),))),
    passes("length-in-white-space", _with(b"Content-Length: \t 5 \t", b"hello"), Saw("POST", fields=(length(5),), body=b"hello")),
    passes("length-with-zeros-in-front", _with(b"Content-Length: 0005", b"hello"), Saw("POST", fields=(length(5),), body=b"hello")),
    passes("length-on-get", _get(b"Host: x", b"Content-Length: 5", rest=b"hello"), Saw(fields=(length(5),), body=b"hello")),
    passes("no-length-no-body", _with(b"X-T: v"), Saw("POST", fields=(("X-T", "v"),))),
    refused("length-twice-the-same", _with(b"Content-Length: 5\r\nContent-Length: 5", b"hello")),
    refused("length-twice-different", _with(b"Content-Length: 5\r\nContent-Length: 6", b"hello!")),
    refused("length-twice-in-other-case", _with(b"Content-Length: 5\r\ncontent-length: 0", b"hello")),
    refused("length-list-the-same", _with(b"Content-Length: 5, 5", b"hello")),
    refused("length-list-different", _with(b"Content-Length: 5,6", b"hello!")),
    refused("length-list-that-ends-empty", _with(b"Content-Length: 5,", b"hello")),
    refused("length-plus", _with(b"Content-Length: +5", b"hello")),
    refused("length-minus", _with(b"Content-Length: -1")),
    refused("length-minus-zero", _with(b"Content-Length: -0")),
    refused("length-hexadecimal", _with(b"Content-Length: 0x5", b"hello")),
    refused("length-exponent", _with(b"Content-Length: 1e1", b"0123456789")),
    refused("length-fraction", _with(b"Content-Length: 5.0", b"hello")),
    refused("length-underscore", _with(b"Content-Length: 1_0", b"0123456789")),
    refused("length-two-numbers", _with(b"Content-Length: 5 5", b"hello")),
    refused("length-empty", _with(b"Content-Length:", b"hello")),
    refused("length-blank", _with(b"Content-Length:  ", b"hello")),
    refused("length-quoted", _with(b'Content-Length: "5"', b"hello")),
    refused("length-semicolon", _with(b"Content-Length: 5;", b"hello")),
    refused("length-wide-digit", _with(b"Content-Length: \xef\xbc\x95", b"hello")),
    refused("length-letters", _with(b"Content-Length: five", b"hello")),
    refused("length-vertical-tab-before", _with(b"Content-Length: \x0b5", b"hello")),
    refused("length-form-feed-after", _with(b"Content-Length: 5\x0c", b"hello")),
    refused("length-nul-after", _with(b"Content-Length: 5\x00", b"hello")),
    refused("length-bare-cr-after", _with(b"Content-Length: 5\r", b"hello")),
    refused("length-2-to-the-64", _with(b"Content-Length: 18446744073709551616", b"hello")),
    refused("length-2-to-the-64-and-5", _with(b"Content-Length: 18446744073709551621", b"hello")),
    refused("length-of-40-digits", _with(b"Content-Length: " + b"9" * 40, b"hello")),
    refused("length-2-to-the-63-less-1", _with(b"Content-Length: 9223372036854775807", b"hello"), BIG),
    refused("length-one-over-the-limit", _with(b"Content-Length: %d" % (BODY_BYTES + 1)), BIG),
    refused("length-space-before-colon", _with(b"Content-Length : 5", b"hello")),
    refused("length-tab-before-colon", _with(b"Content-Length\t: 5", b"hello")),
    refused("length-vertical-tab-before-colon", _with(b"Content-Length\x0b: 5", b"hello")),
    refused("length-nul-in-name", _with(b"Content-\x00Length: 5", b"hello")),
    refused("length-folded", _with(b"Content-Length:\r\n 5", b"hello")),
    refused("length-behind-a-space", _with(b" Content-Length: 5", b"hello")),
]  # fmt: skip

CODINGS: Final = [
    passes("chunked", _chunks(b"5\r\nhello\r\n" + LAST), POSTED._replace(body=b"hello")),
    passes("chunked-any-case", _with(b"transfer-encoding: cHuNkEd", LAST), POSTED),
    *(
        passes(f"chunked-and-{name}", _with(b"Transfer-Encoding: chunked" + space, b"5\r\nhello\r\n" + LAST) + SECOND, POSTED._replace(body=b"hello"), SAW_SECOND)
        for name, space in (("a-tab", b"\t"), ("a-space", b" "), ("white-space", b" \t \t"))
    ),
    passes("chunked-between-tabs", _with(b"transfer-encoding:\tCHUNKED\t", LAST), POSTED),
    refused("chunked-and-a-tab-twice", _with(b"Transfer-Encoding: chunked\t\r\nTransfer-Encoding: chunked\t", LAST)),
    refused("chunked-and-a-tab-and-length", _with(b"Transfer-Encoding: chunked\t\r\nContent-Length: 5", LAST)),
    refused("chunked-and-a-tab-and-more", _with(b"Transfer-Encoding: chunked\t, x", LAST)),
    refused("chunked-and-a-tab-and-a-bare-lf", _with(b"X-T: v\nTransfer-Encoding: chunked\t", LAST)),
    refused("chunked-and-a-tab-and-a-bare-cr", _with(b"Transfer-Encoding: chunked\t\r\r", LAST)),
    refused("chunked-and-a-tab-behind-a-fold", _with(b"X-T: v\r\n Transfer-Encoding: chunked\t", LAST)),
    refused("chunked-and-a-tab-before-a-fold", _with(b"Transfer-Encoding: chunked\t\r\n x", LAST)),
    refused("chunked-and-a-tab-in-1.0", _get(b"Transfer-Encoding: chunked\t", line=b"POST /public/x HTTP/1.0", rest=LAST)),
    refused("gzip-and-a-tab", _with(b"Transfer-Encoding: gzip\t", LAST)),
    passes("chunked-without-a-space", _with(b"Transfer-Encoding:chunked", LAST), POSTED),
    refused("both-length-first", _with(b"Content-Length: 5\r\nTransfer-Encoding: chunked", LAST)),
    refused("both-coding-first", _with(b"Transfer-Encoding: chunked\r\nContent-Length: 5", LAST)),
    refused("both-length-zero", _with(b"Content-Length: 0\r\nTransfer-Encoding: chunked", LAST)),
    refused("both-on-get", _get(b"Host: x", b"Content-Length: 5", b"Transfer-Encoding: chunked", rest=LAST)),
    refused("coding-twice", _with(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", LAST)),
    refused("coding-and-another-field", _with(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", LAST)),
    refused("another-field-and-coding", _with(b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked", LAST)),
    refused("identity-field-and-coding", _with(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", LAST)),
    refused("chunked-then-identity", _with(b"Transfer-Encoding: chunked, identity", LAST)),
    refused("identity-then-chunked", _with(b"Transfer-Encoding: identity, chunked", LAST), CODING),
    refused("chunked-twice-in-one-field", _with(b"Transfer-Encoding: chunked, chunked", LAST)),
    refused("identity", _with(b"Transfer-Encoding: identity", b"hello")),
    refused("identity-and-length", _with(b"Transfer-Encoding: identity\r\nContent-Length: 5", b"hello")),
    refused("gzip", _with(b"Transfer-Encoding: gzip", b"hello")),
    refused("gzip-then-chunked", _with(b"Transfer-Encoding: gzip, chunked", LAST), CODING),
    refused("xchunked", _with(b"Transfer-Encoding: xchunked", LAST)),
    refused("chunkedx", _with(b"Transfer-Encoding: chunkedx", LAST)),
    refused("chunked-with-a-parameter", _with(b"Transfer-Encoding: chunked;q=1", LAST)),
    refused("chunked-quoted", _with(b'Transfer-Encoding: "chunked"', LAST)),
    refused("chunked-apostrophes", _with(b"Transfer-Encoding: 'chunked'", LAST)),
    refused("chunked-and-a-comma", _with(b"Transfer-Encoding: chunked,", LAST)),
    refused("comma-and-chunked", _with(b"Transfer-Encoding: ,chunked", LAST), CODING),
    refused("chunked-cut-by-a-space", _with(b"Transfer-Encoding: chu nked", LAST)),
    refused("chunked-behind-a-vertical-tab", _with(b"Transfer-Encoding:\x0bchunked", LAST)),
    refused("chunked-before-a-vertical-tab", _with(b"Transfer-Encoding: chunked\x0b", LAST)),
    refused("chunked-behind-a-form-feed", _with(b"Transfer-Encoding: \x0cchunked", LAST)),
    refused("chunked-and-nul", _with(b"Transfer-Encoding: chunked\x00", LAST)),
    refused("chunked-and-a-high-byte", _with(b"Transfer-Encoding: chunked\xff", LAST)),
    refused("chunked-behind-a-no-break-space", _with(b"Transfer-Encoding: \xa0chunked", LAST)),
    refused("coding-empty", _with(b"Transfer-Encoding:", b"hello"), CODING),
    refused("coding-empty-and-length", _with(b"Transfer-Encoding:\r\nContent-Length: 5", b"hello"), CODING),
    refused("coding-space-before-colon", _with(b"Transfer-Encoding : chunked", LAST)),
    refused("coding-tab-before-colon", _with(b"Transfer-Encoding\t: chunked", LAST)),
    refused("coding-vertical-tab-before-colon", _with(b"Transfer-Encoding\x0b: chunked", LAST)),
    refused("coding-folded", _with(b"Transfer-Encoding:\r\n chunked", LAST)),
    refused("coding-behind-a-fold", _with(b"X-T: v\r\n Transfer-Encoding: chunked", LAST)),
    refused("coding-behind-a-bare-lf", _with(b"X-T: v\nTransfer-Encoding: chunked", LAST)),
    refused("coding-behind-a-bare-cr", _with(b"X-T: v\rTransfer-Encoding: chunked", LAST)),
    refused("coding-behind-a-nul", _with(b"\x00Transfer-Encoding: chunked", LAST)),
    Case("coding-by-underscore", (_with(b"Transfer_Encoding: chunked", LAST),), (OK, BAD), closes=True, seen=(Saw("POST"),)),
    passes(
        "coding-by-underscore-and-length",
        _with(b"Transfer_Encoding: chunked\r\nContent-Length: 5", LAST),
        Saw("POST", fields=(length(5),), body=LAST),
    ),
    passes(
        "length-by-underscore-and-coding",
        _with(b"Content_Length: 50\r\nTransfer-Encoding: chunked", LAST),
        POSTED,
    ),
    refused("coding-in-1.0", _get(b"Transfer-Encoding: chunked", line=b"POST /public/x HTTP/1.0", rest=LAST)),
    refused("coding-in-1.0-and-keep-alive", _get(b"Connection: keep-alive", b"Transfer-Encoding: chunked", line=b"POST /public/x HTTP/1.0", rest=LAST)),
    refused("identity-in-1.0", _get(b"Transfer-Encoding: identity", line=b"POST /public/x HTTP/1.0")),
    refused("two-lengths-in-1.0", _get(b"Content-Length: 5", b"Content-Length: 6", line=b"POST /public/x HTTP/1.0", rest=b"hello!")),
]  # fmt: skip


def _size(name: str, size: bytes) -> Case:
    """A chunk of five octets whose size is written like this."""
    return refused(f"chunk-size-{name}", _chunks(size + b"\r\nhello\r\n" + LAST))


CHUNKS: Final = [
    passes("chunk-zeros-in-front", _chunks(b"0005\r\nhello\r\n000\r\n\r\n"), POSTED._replace(body=b"hello")),
    passes("chunk-size-any-case", _chunks(b"a\r\n0123456789\r\nA\r\n0123456789\r\n" + LAST), POSTED._replace(body=b"0123456789" * 2)),
    passes("chunk-that-holds-a-request", _chunks(b"%x\r\n%b\r\n" % (len(GET), GET) + LAST), POSTED._replace(body=GET)),
    _size("hexadecimal-prefix", b"0x5"),
    _size("space-after", b"5 "),
    _size("space-before", b" 5"),
    _size("tab-after", b"5\t"),
    _size("tab-before", b"\t5"),
    _size("plus", b"+5"),
    _size("minus", b"-5"),
    _size("underscore", b"0_5"),
    _size("no-digit", b"G"),
    _size("empty", b""),
    _size("comma", b"5,5"),
    _size("nul-after", b"5\x00"),
    _size("wide-digit", b"\xef\xbc\x95"),
    _size("of-17-digits", b"10000000000000005"),
    _size("that-wraps-to-5", b"1" + b"0" * 32 + b"5"),
    _size("bare-lf", b"5\nx"),
    _size("bare-cr", b"5\rx"),
    _size("cr-cr", b"5\r"),
    refused("chunk-size-ends-in-lf", _chunks(b"5\nhello\r\n" + LAST)),
    refused("chunk-size-line-break-first", _chunks(b"\r\n5\r\nhello\r\n" + LAST)),
    refused("chunk-data-ends-in-lf", _chunks(b"5\r\nhello\n" + LAST)),
    refused("chunk-data-ends-in-cr", _chunks(b"5\r\nhello\r" + LAST)),
    refused("chunk-data-ends-in-lf-cr", _chunks(b"5\r\nhello\n\r" + LAST)),
    refused("chunk-data-ends-in-nothing", _chunks(b"5\r\nhello" + LAST)),
    refused("chunk-data-ends-in-two-others", _chunks(b"5\r\nhelloXX" + LAST)),
    refused("chunk-data-longer-than-said", _chunks(b"5\r\nhello world\r\n" + LAST)),
    refused("chunk-last-ends-in-lf", _chunks(b"5\r\nhello\r\n0\n\r\n")),
    refused("chunk-ends-in-the-read-of-the-fault", (_chunks(b"5\r\nhello"), b"\r\n0\n\r\n")),
    refused("chunk-end-is-lf", _chunks(b"5\r\nhello\r\n0\r\n\n")),
    refused("chunk-end-is-cr", _chunks(b"5\r\nhello\r\n0\r\n\rX")),
    refused("chunk-last-is-negative", _chunks(b"5\r\nhello\r\n-0\r\n\r\n")),
    refused("chunk-is-withheld", _chunks(b"5\r\nhel"), LATE),
    refused("chunk-last-is-withheld", _chunks(b"5\r\nhello\r\n"), LATE),
    refused("chunk-size-2-to-the-64-less-1", _chunks(b"ffffffffffffffff\r\nhello"), LATE),
    passes("extension", _chunks(b"5;a\r\nhello\r\n0;b\r\n\r\n"), POSTED._replace(body=b"hello")),
    passes("extension-with-value", _chunks(b"5;a=b\r\nhello\r\n" + LAST), POSTED._replace(body=b"hello")),
    passes("extension-quoted", _chunks(b'5;a="b c\\"d"\r\nhello\r\n' + LAST), POSTED._replace(body=b"hello")),
    refused("extension-without-a-name", _chunks(b"5;\r\nhello\r\n" + LAST)),
    refused("extension-without-a-first-name", _chunks(b"5;;a\r\nhello\r\n" + LAST)),
    *(
        passes(f"extension-with-white-space-{number}", _chunks(b"5" + text + b"\r\nhello\r\n0" + text + b"\r\n\r\n") + SECOND, POSTED._replace(body=b"hello"), SAW_SECOND)
        for number, text in enumerate((b"; a=b", b" ;a", b"\t;\ta\t=\tb", b' ; a = "b ; c" ;d', b";a=b; c"))
    ),
    refused("extension-behind-a-vertical-tab", _chunks(b"5\x0b;a\r\nhello\r\n" + LAST)),
    refused("extension-before-a-space", _chunks(b"5;a \r\nhello\r\n" + LAST)),
    refused("extension-without-a-value", _chunks(b"5;a= \r\nhello\r\n" + LAST)),
    refused("extension-white-space-and-cr", _chunks(b"5; \ra\r\nhello\r\n" + LAST)),
    refused("extension-white-space-and-lf", _chunks(b"5; a\nhello\r\n" + LAST)),
    refused("extension-of-no-size", _chunks(b" ; a\r\nhello\r\n" + LAST)),
    refused("extension-with-a-line-break-in-white-space", _chunks(b"5;\r\n a\r\nhello\r\n" + LAST)),
    refused("extension-that-is-withheld", _chunks(b"5; a"), LATE),
    refused("extension-with-a-space", _chunks(b"5;a=b c\r\nhello\r\n" + LAST)),
    refused("extension-quoted-with-cr", _chunks(b'5;a="b\rc"\r\nhello\r\n' + LAST)),
    refused("extension-quoted-with-lf", _chunks(b'5;a="b\nc"\r\nhello\r\n' + LAST)),
    refused("extension-quoted-with-a-line-break", _chunks(b'5;a="b\r\nc"\r\nhello\r\n' + LAST)),
    refused("extension-quote-that-does-not-end", _chunks(b'5;a="\r\nhello\r\n' + LAST)),
    refused("extension-between-cr-and-lf", _chunks(b"5\r;a\nhello\r\n" + LAST)),
    refused("extension-behind-and-before-a-cr", _chunks(b"5;a\r;b\nhello\r\n" + LAST)),
    refused("extension-between-cr-and-lf-of-the-last", _chunks(b"5\r\nhello\r\n0\r;a\n\r\n" + SECOND)),
    refused("extension-with-nul", _chunks(b"5;a\x00\r\nhello\r\n" + LAST)),
    refused("extension-with-a-control", _chunks(b"5;a=\x01\r\nhello\r\n" + LAST)),
    refused("extension-with-a-high-byte", _chunks(b"5;a=\xff\r\nhello\r\n" + LAST)),
    refused("extension-ends-in-lf", _chunks(b"5;a\nhello\r\n" + LAST)),
    refused("extension-ends-in-cr", _chunks(b"5;a\rhello\r\n" + LAST)),
    refused("extension-term-ext", _chunks(b"2;\nxx\r\n41\r\n0\r\n\r\n" + SECOND + LAST)),
    passes("chunks-of-one-byte", _chunks(b"1\r\nx\r\n" * 3000 + LAST), POSTED._replace(body=b"x" * 3000)),
    passes("chunks-of-three-bytes", _chunks(b"3\r\n12\n\r\n" * 9000 + LAST), POSTED._replace(body=b"12\n" * 9000)),
    passes("chunks-of-one-byte-and-many", _chunks(b"1\r\n{\r\n14\r\n0123456789abcdefghi\n\r\n" * 900 + LAST), POSTED._replace(body=b"{0123456789abcdefghi\n" * 900)),
    refused("chunks-of-one-byte-without-end", _chunks(b"1\r\nx\r\n" * 9000 + LAST), is_one_read=True),
    refused("chunks-with-more-extension-than-data", _chunks(b"1;abcdefghij\r\nx\r\n" * 3000 + LAST), is_one_read=True),
    refused("chunks-with-zeros-in-front", _chunks((b"0" * 99 + b"1\r\nx\r\n") * 400 + LAST), is_one_read=True),
    refused("extension-that-is-long", _chunks(b"5;" + b"a" * HEAD_BYTES + b"\r\nhello\r\n" + LAST), LONG, is_one_read=True),
]  # fmt: skip


def _trailer(name: str, line: bytes) -> Case:
    """A trailer that ends at the gateway."""
    return passes(f"trailer-{name}", _chunks(b"0\r\n" + line + b"\r\n\r\n"), POSTED)


TRAILERS: Final = [
    _trailer("any", b"X-T: v"),
    _trailer("host", b"Host: evil"),
    _trailer("identity", b"X-User-Issuer: evil"),
    _trailer("identity-by-underscore", b"X_User_Issuer: evil"),
    _trailer("authorization", b"Authorization: Bearer evil"),
    _trailer("cookie", b"Cookie: session=evil"),
    _trailer("connection-close", b"Connection: close"),
    _trailer("forwarded-for", b"X-Forwarded-For: 6.6.6.6"),
    refused("trailer-length", _chunks(b"0\r\nContent-Length: 5\r\n\r\n")),
    refused("trailer-coding", _chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    refused("trailer-space-before-colon", _chunks(b"0\r\nX-T : v\r\n\r\n")),
    refused("trailer-space-first", _chunks(b"0\r\n X-T: v\r\n\r\n")),
    refused("trailer-folded", _chunks(b"0\r\nX-T: v\r\n w\r\n\r\n")),
    refused("trailer-ends-in-lf", _chunks(b"0\r\nX-T: v\n\r\n")),
    refused("trailer-with-bare-cr", _chunks(b"0\r\nX-T: v\rw\r\n\r\n")),
    refused("trailer-with-nul", _chunks(b"0\r\nX-T: v\x00\r\n\r\n")),
    refused("trailer-without-colon", _chunks(b"0\r\nX-T\r\n\r\n")),
    refused("trailer-that-is-a-request", _chunks(b"5\r\nhello\r\n0\r\n" + SECOND)),
    refused("trailer-that-is-long", _chunks(b"0\r\nX-T: " + b"v" * HEAD_BYTES + b"\r\n\r\n"), LONG),
    refused("trailer-that-is-withheld", _chunks(b"0\r\nX-T: v\r\n"), LATE),
]  # fmt: skip


def _name(name: str, character: bytes) -> Case:
    return refused(f"name-with-{name}", _with(b"X" + character + b"T: v"))


def _value(name: str, character: bytes) -> Case:
    return refused(f"value-with-{name}", _with(b"X-T: a" + character + b"b"))


def _value_passes(name: str, value: bytes, arrives: str) -> Case:
    return passes(f"value-{name}", _with(b"X-T:" + value), Saw("POST", fields=(("X-T", arrives),)))


FOREIGN_NAMES: Final = (
    *("Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "X-Remote-User"),
    *("X-WEBAUTH-USER", "X-WEBAUTH-EMAIL", "X-WEBAUTH-GROUPS", "X-Auth-Request-User"),
    *("X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups"),
    *("X-Forwarded-Preferred-Username", "X-Pomerium-Jwt-Assertion", "X-authentik-username"),
    *("Cf-Access-Jwt-Assertion", "X-Envoy-External-Address", "X-Original-Forwarded-For"),
    *("Fastly-Client-IP", "X-Url-Scheme", "Front-End-Https"),
)
"""In these other gateways tell an app who is asking, and from where."""


def _foreign(name: str) -> bytes:
    """The name in each spelling that some app reads alike."""
    spellings = (name, name.upper(), name.replace("-", "_"), name.replace("-", "."))
    return "\r\n".join(f"{spelling}: evil" for spelling in spellings).encode()


_CONTROLS = [*range(1, 9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F]
FIELD_LINES: Final = [
    *(_value(f"control-{code:02x}", bytes([code])) for code in _CONTROLS),
    _value("nul", b"\x00"),
    _value("bare-cr", b"\r"),
    _value("bare-lf", b"\n"),
    _value("lf-cr", b"\n\r"),
    _value("cr-cr-lf", b"\r\r\n"),
    _value("fold", b"\r\n "),
    _value("fold-by-tab", b"\r\n\t"),
    _value("fold-that-is-empty", b"\r\n \r\nX-U: "),
    _value_passes("empty", b"", ""),
    _value_passes("blank", b" \t ", ""),
    _value_passes("with-tab", b" a\tb", "a\tb"),
    _value_passes("of-latin-1", b" a\xff\x80", "a\xff\x80"),
    _value_passes("of-utf-8", b" \xc3\xa9", "\xc3\xa9"),
    *(_name(f"control-{code:02x}", bytes([code])) for code in (0, 1, 8, 0x0B, 0x1F, 0x7F)),
    *(_name(f"delimiter-{code:02x}", bytes([code])) for code in b'"(),/;<=>?@[\\]{}'),
    _name("space", b" "),
    _name("tab", b"\t"),
    _name("high-byte", b"\xe9"),
    _name("bare-cr", b"\r"),
    _name("bare-lf", b"\n"),
    refused("name-empty", _with(b": v")),
    refused("name-alone", _with(b"X-T")),
    refused("name-behind-a-space", _with(b" X-T: v")),
    refused("name-behind-a-tab", _with(b"\tX-T: v")),
    refused("name-behind-a-space-as-first-line", _get(b" X-T: v", b"Host: x")),
    refused("fields-end-in-lf", b"GET /public/x HTTP/1.1\r\nHost: x\r\n\n"),
    refused("fields-end-in-cr-cr-lf", b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\r\n"),
    refused("lines-end-in-lf", GET.replace(b"\r\n", b"\n")),
    refused("lines-end-in-cr", GET.replace(b"\r\n", b"\r") + b"\r\n\r\n"),
    refused("first-line-ends-in-lf", b"GET /public/x HTTP/1.1\nHost: x\r\n\r\n"),
    refused("first-line-ends-in-cr", b"GET /public/x HTTP/1.1\rHost: x\r\n\r\n"),
    passes(
        "fields-repeated",
        _with(b"X-b: 2\r\nx-A: 1\r\nX-B: 3"),
        Saw("POST", fields=(("X-b", "2"), ("x-A", "1"), ("X-B", "3"))),
    ),
    passes("identity-forged", _with(b"X-User-Issuer: e\r\nX_User_Issuer: e\r\nx.user.issuer: e\r\nX-USER-EMAIL: e"), Saw("POST")),
    *(passes(f"identity-{name.lower()}", _with(_foreign(name)), Saw("POST")) for name in FOREIGN_NAMES),
    passes("bearer-malformed", _with(b"Authorization: Bearer,evil"), Saw("POST")),
    passes("bearer-like", _with(b"Authorization: Bearerish x"), Saw("POST", fields=(("Authorization", "Bearerish x"),))),
    passes("identity-nominated", _with(b"Connection: X-Request-Id, Via, Host\r\nX-T: v"), Saw("POST", fields=(("X-T", "v"),))),
    passes("hop-by-hop-nominated", _with(b"Connection: X-T\r\nX-T: v\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: X\r\nProxy-Connection: x"), Saw("POST")),
    passes("length-nominated", _with(b"Connection: Content-Length\r\nContent-Length: 5", b"hello"), Saw("POST", fields=(length(5),), body=b"hello")),
]  # fmt: skip


def _version(version: bytes, verdict: Verdict = BAD) -> Case:
    return refused(f"version-{version.decode()}", _line(b"GET /public/x " + version), verdict)


def _method(method: bytes, verdict: Verdict = BAD) -> Case:
    return refused(
        f"method-{len(method)}-{method[:20]!r}", _line(method + b" /public/x HTTP/1.1"), verdict
    )


REQUEST_LINES: Final = [
    *(_version(v) for v in (b"HTTP/1.2", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1", b"HTTP/1.")),
    *(_version(v) for v in (b"HTTP/3.0", b"HTTP/9.9", b"HTTP/1,1", b"HTTP /1.1", b"HTTP/ 1.1")),
    *(_version(v) for v in (b"http/1.1", b"Http/1.1", b"HTTP/-1.1", b"HTTP/1.1 ", b"HTTP/1.1\t")),
    *(_version(v) for v in (b"HTTP/1.1\x00", b"HTTP/1.1\x0b", b"HTTP/1.1x", b"SIP/2.0", b"XHTTP/1.1")),
    _version(b"HTTP/2.0", VERSION),
    _version(b"HTTP/0.9", VERSION),
    _version(b"RTSP/1.0"),
    refused("source-of-icecast", _line(b"SOURCE /public/x ICE/1.0")),
    refused("describe-of-rtsp", _line(b"DESCRIBE /public/x RTSP/1.0")),
    refused("http-0.9", b"GET /public/x\r\n\r\n", VERSION),
    refused("http-0.9-with-fields", _line(b"GET /public/x"), VERSION),
    refused("http-2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
    refused("an-answer", _line(b"HTTP/1.1 200 OK")),
    refused("tls-client-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50)),
    refused("byte-order-mark", b"\xef\xbb\xbf" + GET),
    refused("nul-first", b"\x00" + GET),
    refused("space-first", b" " + GET),
    passes("one-empty-line-first", b"\r\n" + GET, Saw()),
    refused("two-empty-lines-first", b"\r\n\r\n" + GET),
    refused("bare-lf-first", b"\n" + GET),
    refused("bare-cr-first", b"\r" + GET),
    refused("cr-cr-lf-first", b"\r\r\n" + GET),
    refused("only-the-method", _line(b"GET")),
    refused("method-and-space", _line(b"GET ")),
    refused("two-spaces-before-the-target", _line(b"GET  /public/x HTTP/1.1")),
    refused("two-spaces-after-the-target", _line(b"GET /public/x  HTTP/1.1")),
    refused("tab-before-the-target", _line(b"GET\t/public/x HTTP/1.1")),
    refused("tab-after-the-target", _line(b"GET /public/x\tHTTP/1.1")),
    refused("cr-after-the-target", _line(b"GET /public/x\rHTTP/1.1")),
    refused("vertical-tab-after-the-target", _line(b"GET /public/x\x0bHTTP/1.1")),
    refused("space-in-the-target", _line(b"GET /public/x /y HTTP/1.1")),
    _method(b"TRACE", METHOD),
    _method(b"CONNECT", UPGRADE),
    refused("connect-authority", _line(b"CONNECT x:443 HTTP/1.1"), UPGRADE),
    refused("connect-with-a-request-behind", _line(b"CONNECT x:443 HTTP/1.1") + SECOND, UPGRADE),
    *(_method(m, METHOD) for m in (b"get", b"Get", b"FOO", b"GETX", b"DESCRIBE", b"A" * 64)),
    *(_method(m, METHOD) for m in (b"F", b"PRIX", b"G-_.!#$%&'*+^`|~1", b"trace", b"connect")),
    *map(_method, (b"PRI", b"G\x00T", b"GE(T", b"G:T", b"A" * 65)),
    refused("method-unknown-and-two-spaces", _line(b"FOO  /any/x HTTP/1.1")),
    refused("method-unknown-and-a-tab", _line(b"FOO\t/any/x HTTP/1.1")),
    refused("method-unknown-in-0.9", b"FOO /any/x\r\n\r\n", VERSION),
    refused("method-unknown-in-rtsp", _line(b"FOO /any/x RTSP/1.0")),
    refused("method-unknown-behind-a-space", b" " + _line(b"FOO /any/x HTTP/1.1")),
    refused("method-unknown-behind-two-empty-lines", b"\r\n\r\n" + _line(b"FOO /any/x HTTP/1.1")),
    refused("method-unknown-and-a-bare-lf", b"FOO /any/x HTTP/1.1\nHost: x\r\n\r\n"),
    refused("method-unknown-without-host", b"FOO /any/x HTTP/1.1\r\n\r\n"),
    refused("method-unknown-and-two-framings", _get(b"Host: x", b"Content-Length: 4", b"Transfer-Encoding: chunked", line=b"FOO /any/x HTTP/1.1", rest=LAST)),
    refused("method-unknown-and-a-bad-target", _line(b"FOO /any/../x HTTP/1.1"), TARGET),
    refused("method-unknown-that-is-withheld", b"FOO /any/x HTTP/1.1\r\nHost: x\r\n", LATE),
    refused("method-unknown-that-never-ends", b"FOO /any/x HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 900, LONG),
    *(refused(f"method-{m.decode()}-of-any", _line(m + b" /any/x HTTP/1.1"), METHOD) for m in (b"TRACE", b"trace", b"Connect", b"get", b"FOo")),
    refused("method-PRI-of-any", _line(b"PRI /any/x HTTP/1.1")),
    refused("method-CONNECT-of-any", _line(b"CONNECT /any/x HTTP/1.1"), UPGRADE),
    passes("method-unknown-of-any", _line(b"FOO /any/x HTTP/1.1"), Saw("FOO", "/any/x")),
    passes("method-unknown-with-punctuation", _line(b"A_1.B!'~ /any/x HTTP/1.1"), Saw("A_1.B!'~", "/any/x")),
    passes("method-unknown-that-begins-like-another", _line(b"GETX /any/x HTTP/1.1"), Saw("GETX", "/any/x")),
    passes("method-of-rtsp-in-http", _line(b"DESCRIBE /any/x HTTP/1.1"), Saw("DESCRIBE", "/any/x")),
    passes("method-unknown-that-is-listed", _line(b"FOO /listed/x HTTP/1.1") + SECOND, Saw("FOO", "/listed/x"), SAW_SECOND),
    passes("method-unknown-twice", _line(b"FOO /any/x HTTP/1.1") * 2, Saw("FOO", "/any/x"), Saw("FOO", "/any/x")),
    passes("method-unknown-behind-an-empty-line", b"\r\n" + _line(b"FOO /any/x HTTP/1.1"), Saw("FOO", "/any/x")),
    passes("method-unknown-between-two", GET + _line(b"FOO /any/x HTTP/1.1") + SECOND, Saw(), Saw("FOO", "/any/x"), SAW_SECOND),
    passes(
        "method-unknown-with-a-length",
        _get(b"Host: x", b"Content-Length: %d" % len(SECOND), line=b"FOO /any/x HTTP/1.1", rest=SECOND),
        Saw("FOO", "/any/x", fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes(
        "method-unknown-with-chunks",
        _get(b"Host: x", b"Transfer-Encoding: chunked\t", line=b"FOO /any/x HTTP/1.1", rest=b"5\r\nhello\r\n" + LAST) + SECOND,
        Saw("FOO", "/any/x", fields=(CHUNKED,), body=b"hello"),
        SAW_SECOND,
    ),
    passes("method-unknown-in-1.0", _line(b"FOO /any/x HTTP/1.0"), Saw("FOO", "/any/x"), closes=True),
    *map(_method, (b"GE\xc3\xa9", b"GET\x0b", b"", b"A" * 300, b"A" * (HEAD_BYTES + 1))),
    *(
        passes(f"method-{m}", _line(f"{m} /public/x HTTP/1.1".encode()), Saw(m))
        for m in ("DELETE", "OPTIONS", "PATCH", "PROPFIND", "PUT", "REPORT")
    ),
]  # fmt: skip


def _not_allowed(name: str, fields: bytes = b"", rest: bytes = b"") -> Case:
    """A method that no route of the path lists; what comes behind is a request of its own."""
    raw = _get(b"Host: x" + fields, line=b"PUT /listed/x HTTP/1.1", rest=rest)
    answers = (NOT_ALLOWED, OK)
    return Case(
        f"not-allowed-{name}",
        (raw + SECOND,),
        answers,
        closes=False,
        seen=(SAW_SECOND,),
        is_one_read=bool(rest),
    )


NOT_LISTED: Final = [
    _not_allowed("without-a-body"),
    _not_allowed("with-a-length", b"\r\nContent-Length: %d" % len(GET), GET),
    refused("not-allowed-with-chunks", _get(b"Host: x", b"Transfer-Encoding: chunked\t", line=b"PUT /listed/x HTTP/1.1", rest=b"%x\r\n%b\r\n" % (len(GET), GET) + LAST) + SECOND, NOT_ALLOWED, is_one_read=True),
    _not_allowed("by-an-upgrade", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d" % len(GET), GET),
    refused("not-allowed-with-a-body-that-is-withheld", _get(b"Host: x", b"Content-Length: 1000", line=b"PUT /listed/x HTTP/1.1", rest=GET), NOT_ALLOWED),
    refused("not-listed-and-unknown-with-a-length", _get(b"Host: x", b"Content-Length: %d" % len(GET), line=b"BAR /listed/x HTTP/1.1", rest=GET) + SECOND, METHOD),
    refused("not-listed-on-our-own-page", _line(b"BAR /_gateway/login HTTP/1.1") + SECOND, METHOD),
    refused("not-listed-by-a-dot-segment", _line(b"PUT /any/../listed/x HTTP/1.1"), TARGET),
    refused("not-listed-by-another-reading", _line(b"PUT /any;/../listed/x HTTP/1.1"), TARGET),
    passes(
        "any-method-and-a-request-as-its-body",
        _get(b"Host: x", b"Content-Length: %d" % len(SECOND), line=b"ANNOUNCE /any/x HTTP/1.1", rest=SECOND) + SECOND,
        Saw("ANNOUNCE", "/any/x", fields=(length(len(SECOND)),), body=SECOND),
        SAW_SECOND,
    ),
]  # fmt: skip


def _hits(name: str, target: bytes, arrives: str = "/public/x") -> Case:
    return passes(f"target-{name}", _target(target), Saw(target=arrives))


def _misses(name: str, target: bytes, verdict: Verdict = TARGET) -> Case:
    return refused(f"target-{name}", _target(target), verdict)


TARGETS: Final = [
    _hits("absolute", b"http://x/public/x"),
    _hits("absolute-any-case", b"HTTP://X/public/x"),
    _hits("absolute-default-port", b"http://x:80/public/x"),
    _hits("absolute-default-port-of-https", b"https://x:443/public/x"),
    _hits("absolute-empty-port", b"http://x:/public/x"),
    passes("target-absolute-without-the-port-of-host", _get(b"Host: x:80", line=b"GET http://x/public/x HTTP/1.1"), Saw(host="x:80")),
    _hits("query", b"/public/x?a=b&c=%0d%0aX:y", "/public/x?a=b&c=%0d%0aX:y"),
    _hits("parameters", b"/public/x;a=b", "/public/x;a=b"),
    _hits("escaped-letter", b"/%70ublic/x"),
    _hits("brackets", b"/public/a[0]", "/public/a%5B0%5D"),
    _hits("bar", b"/public/a|b", "/public/a%7Cb"),
    _hits("caret", b"/public/a^b", "/public/a%5Eb"),
    _hits("brackets-escaped", b"/public/a%5b0%5D", "/public/a%5B0%5D"),
    _hits("raw-in-the-query", b"/public/x?a[]={\"b\":`c`|d^e}\\'<>", "/public/x?a[]={\"b\":`c`|d^e}\\'<>"),
    _hits("raw-in-absolute-form", b"http://x/public/a|b?[]", "/public/a%7Cb?[]"),
    _hits("escapes-as-many-as-may-be", b"/public/" + b"%40" * 1024, "/public/" + "%40" * 1024),
    _misses("escapes-one-too-many", b"/public/" + b"%40" * 1025),
    _misses("parameters-without-end", b"/public/" + b"a;" * 1025),
    _misses("bars-without-end", b"/public/" + b"|" * 1025),
    _misses("braces", b"/public/{a}"),
    _misses("angle-brackets", b"/public/<a>"),
    _misses("quotation-mark", b'/public/"a"'),
    _misses("grave-accent", b"/public/`a`"),
    _misses("dot-dot-behind-a-bracket", b"/public/[/../x"),
    _misses("escape-that-a-bar-breaks-off", b"/public/%5|"),
    _misses("absolute-other-host", b"http://y/public/x", HOST),
    _misses("absolute-other-port", b"http://x:8080/public/x", HOST),
    _misses("absolute-port-of-another-scheme", b"https://x:80/public/x", HOST),
    _misses("absolute-port-of-http", b"http://x:443/public/x", HOST),
    refused("target-absolute-without-a-port-that-matters", _get(b"Host: x:8080", line=b"GET http://x/public/x HTTP/1.1"), HOST),
    _misses("absolute-userinfo", b"http://u:p@x/public/x"),
    _misses("absolute-host-behind-userinfo", b"http://y@x/public/x"),
    _misses("absolute-backslash", b"http://x\\@y/public/x", BAD),
    _misses("absolute-other-scheme", b"ftp://x/public/x"),
    _misses("absolute-without-authority", b"http:///public/x", BAD),
    _misses("absolute-one-slash", b"http:/public/x", BAD),
    _misses("absolute-fragment", b"http://x/public/x#f"),
    _misses("authority", b"x:80", BAD),
    _misses("authority-on-get", b"x", BAD),
    _misses("asterisk-on-get", b"*", BAD),
    refused("target-asterisk-on-options", _line(b"OPTIONS * HTTP/1.1"), TARGET),
    _misses("relative", b"public/x", BAD),
    _misses("query-alone", b"?a", BAD),
    _misses("two-slashes", b"//x/public/x"),
    _misses("empty-segment", b"/public//x"),
    _misses("fragment", b"/public/x#f"),
    _misses("fragment-in-query", b"/public/x?a#f"),
    _misses("fragment-alone", b"#", BAD),
    _misses("dot-segment", b"/public/./x"),
    _misses("dot-dot-segment", b"/public/../x"),
    _misses("dot-dot-escaped", b"/public/%2e%2E/x"),
    _misses("dot-dot-escaped-twice", b"/public/%252e%252e/x"),
    _misses("dot-dot-with-parameter", b"/public/..;/x"),
    _misses("dot-dot-overlong", b"/public/%c0%ae%c0%ae/x"),
    _misses("backslash", b"/public\\x"),
    _misses("backslash-escaped", b"/public/%5cx"),
    _misses("slash-escaped", b"/public%2fx"),
    _misses("nul-escaped", b"/public/%00"),
    _misses("line-break-escaped", b"/public/%0d%0aX:y"),
    _misses("stray-percent", b"/public/%"),
    _misses("no-hexadecimal", b"/public/%zz"),
    _misses("nul", b"/public/x\x00", BAD),
    _misses("nul-in-query", b"/public/x?\x00", BAD),
    _misses("control", b"/public/\x01", BAD),
    _misses("delete", b"/public/\x7f", BAD),
    _misses("high-byte", b"/public/\x80", BAD),
    _misses("utf-8", b"/public/\xc3\xa9", BAD),
    _misses("high-byte-in-query", b"/public/x?\xe9", BAD),
    _misses("that-is-long", b"/public/" + b"x" * HEAD_BYTES, LONG),
]  # fmt: skip


def _host(name: str, *lines: bytes, verdict: Verdict = HOST) -> Case:
    return refused(f"host-{name}", _get(*lines), verdict)


HOSTS: Final = [
    _host("missing", b"X-T: v", verdict=BAD),
    _host("empty", b"Host:"),
    _host("blank", b"Host:  "),
    _host("twice-the-same", b"Host: x", b"Host: x", verdict=BAD),
    _host("twice", b"Host: x", b"Host: y", verdict=BAD),
    _host("twice-in-other-case", b"Host: x", b"hOST: y", verdict=BAD),
    _host("twice-one-with-a-space", b"Host: x", b"Host : y", verdict=BAD),
    _host("behind-a-space", b" Host: x", verdict=BAD),
    _host("twice-one-folded", b"Host: x", b" Host: y", verdict=BAD),
    _host("list", b"Host: x, y"),
    _host("userinfo", b"Host: u@x"),
    _host("userinfo-and-password", b"Host: u:p@x"),
    _host("url", b"Host: http://x"),
    _host("path", b"Host: x/y"),
    _host("query", b"Host: x?y"),
    _host("fragment", b"Host: x#y"),
    _host("space", b"Host: x y"),
    _host("nul", b"Host: x\x00", verdict=BAD),
    _host("quoted", b'Host: "x"'),
    _host("percent", b"Host: %78"),
    _host("semicolon", b"Host: x;y"),
    _host("port-empty-twice", b"Host: x::"),
    _host("port-empty-alone", b"Host: :"),
    _host("port-zero", b"Host: x:0"),
    _host("port-too-high", b"Host: x:65536"),
    _host("port-no-number", b"Host: x:8a"),
    _host("port-twice", b"Host: x:80:80"),
    _host("empty-label", b"Host: x..y"),
    _host("leading-dot", b"Host: .x"),
    _host("high-bytes", b"Host: \xc3\xa9"),
    _host("too-long", b"Host: " + b"a" * 300),
    _host("open-bracket", b"Host: [::1"),
    _host("after-bracket", b"Host: [::1]x"),
    _host("no-address-in-brackets", b"Host: [zz]"),
    _host("twice-in-1.0", b"Host: y", verdict=BAD)._replace(
        parts=(_get(b"Host: x", b"Host: y", line=b"GET /public/x HTTP/1.0"),)
    ),
    passes("host-port", _get(b"Host: x:8080"), Saw(host="x:8080")),
    passes("host-port-empty", _get(b"Host: x:"), Saw()),
    passes("host-port-empty-behind-an-address", _get(b"Host: [::1]:"), Saw(host="[::1]")),
    passes("host-address", _get(b"Host: [::1]:80"), Saw(host="[::1]:80")),
    passes("host-by-underscore", _get(b"Host: x", b"X_Host: y", b"X-Forwarded-Host: y"), Saw()),
    passes("host-missing-in-1.0", _get(line=b"GET /public/x HTTP/1.0"), Saw(host="localhost"), closes=True),
]  # fmt: skip

SIZES: Final = [
    passes("fields-as-many-as-may-be", _get(b"Host: x", *[b"X: y"] * (FIELDS - 1)), Saw(fields=(("X", "y"),) * (FIELDS - 1))),
    refused("fields-one-too-many", _get(b"Host: x", *[b"X: y"] * FIELDS), LONG),
    refused("value-that-is-long", _with(b"X-T: " + b"v" * HEAD_BYTES), LONG),
    refused("name-that-is-long", _with(b"X" * HEAD_BYTES + b": v"), LONG),
    refused("head-that-is-long", _get(b"Host: x", *[b"X: " + b"y" * 500] * 10), LONG),
    refused("head-that-never-ends", b"GET /public/x HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 900, LONG),
    refused("head-that-is-withheld", b"GET /public/x HTTP/1.1\r\nHost: x\r\n", LATE),
    refused("line-that-is-withheld", b"GET /pub", LATE),
    refused("empty-lines-without-end", b"\r\n" * HEAD_BYTES),
]  # fmt: skip

_EXPECT: Final = b"Expect: 100-continue"
EXPECTATIONS: Final = [
    passes(
        "expect-continue",
        _with(b"Content-Length: 5\r\n" + _EXPECT, b"hello"),
        Saw("POST", fields=(length(5),), body=b"hello"),
    ),
    passes(
        "expect-continue-any-case",
        _with(b"Content-Length: 5\r\nExpect: 100-Continue", b"hello"),
        Saw("POST", fields=(length(5),), body=b"hello"),
    ),
    passes(
        "expect-continue-in-chunks",
        _with(b"Transfer-Encoding: chunked\r\n" + _EXPECT, b"5\r\nhello\r\n0\r\n\r\n"),
        Saw("POST", fields=(("Expect", "100-continue"), ("Transfer-Encoding", "chunked")), body=b"hello"),
    ),
    refused("expect-continue-body-withheld", _with(b"Content-Length: 5\r\n" + _EXPECT), LATE),
    refused("expect-other", _with(b"Content-Length: 5\r\nExpect: 200-ok", b"hello"), EXPECTATION),
    refused("expect-empty", _with(b"Content-Length: 5\r\nExpect:", b"hello"), EXPECTATION),
    refused("expect-list", _with(b"Content-Length: 5\r\nExpect: 100-continue, x", b"hello"), EXPECTATION),
    refused("expect-second-field", _with(b"Content-Length: 5\r\nExpect: 100-continue\r\nExpect: x", b"hello"), EXPECTATION),
    refused("expect-padded", _with(b"Content-Length: 5\r\nExpect: y 100-continue", b"hello"), EXPECTATION),
    passes(
        "expect-continue-in-1.0",
        _get(b"Host: x", b"Content-Length: 5", _EXPECT, line=b"POST /public/x HTTP/1.0", rest=b"hello"),
        Saw("POST", fields=(length(5),), body=b"hello"),
        closes=True,
    ),
]  # fmt: skip

_H2C: Final = (
    b"Connection: Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAAQAAP__",
)
_TO_H2: Final = b"\r\n".join(_H2C)
_H2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04" + bytes(5)


def _ignored(name: str, protocol: bytes) -> Case:
    """An upgrade to what no route lists is a request like any other (RFC 9110 section 7.8)."""
    raw = _get(b"Host: x", b"Connection: Upgrade", b"Upgrade: " + protocol)
    return passes(f"upgrade-{name}", raw + SECOND, Saw(), SAW_SECOND)


UPGRADES: Final = [
    passes("upgrade-h2c", _get(b"Host: x", *_H2C), Saw()),
    passes("upgrade-h2c-twice", _get(b"Host: x", *_H2C) * 2, Saw(), Saw()),
    passes("upgrade-h2c-and-a-request", _get(b"Host: x", *_H2C) + SECOND, Saw(), SAW_SECOND),
    passes("upgrade-h2c-and-a-later-request", (_get(b"Host: x", *_H2C), SECOND), Saw(), SAW_SECOND),
    passes("upgrade-h2c-post", _with(_TO_H2), Saw("POST")),
    passes("upgrade-h2c-length", _with(_TO_H2 + b"\r\nContent-Length: 5", b"hello"), Saw("POST", fields=(length(5),), body=b"hello")),
    passes("upgrade-h2c-length-zero", _with(_TO_H2 + b"\r\nContent-Length: 0"), Saw("POST", fields=(length(0),))),
    passes("upgrade-h2c-chunked", _with(_TO_H2 + b"\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n" + LAST), POSTED._replace(body=b"hello")),
    passes("upgrade-h2c-chunked-and-a-request", _with(_TO_H2 + b"\r\nTransfer-Encoding: chunked", LAST) + SECOND, POSTED, SAW_SECOND),
    passes(
        "upgrade-h2c-body-that-is-a-request",
        _with(_TO_H2 + b"\r\nContent-Length: %d" % len(SECOND), SECOND),
        Saw("POST", fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes("upgrade-h2c-and-close", _get(b"Host: x", b"Connection: Upgrade, close", b"Upgrade: h2c") + SECOND, Saw(), closes=True, is_one_read=True),
    passes("upgrade-h2c-in-1.0", _get(b"Host: x", *_H2C, line=b"GET /public/x HTTP/1.0"), Saw(), closes=True),
    passes("upgrade-h2c-nominates", _get(b"Host: x", b"Connection: Upgrade, X-T, Host", b"Upgrade: h2c", b"X-T: v"), Saw()),
    *(
        passes(
            f"upgrade-{name}-chunked-and-{space!r}",
            _get(b"Host: x", b"Connection: Upgrade", b"Upgrade: " + name.encode(), b"Transfer-Encoding: chunked" + space, line=line, rest=b"%x\r\n%b\r\n" % (len(GET), GET) + LAST) + SECOND,
            Saw(line.decode().split()[0], fields=(CHUNKED,), body=GET),
            SAW_SECOND,
        )
        for name in ("h2c", "tcp", "my-proto/2")
        for line, space in ((b"POST /public/x HTTP/1.1", b"\t"), (b"GET /public/x HTTP/1.1", b" "))
    ),
    *(
        refused(f"upgrade-h2c-coding-{coding!r}", _with(_TO_H2 + b"\r\nTransfer-Encoding: " + coding, b"%x\r\n%b\r\n" % (len(GET), GET) + LAST))
        for coding in (b"gzip", b"identity", b"xchunked", b"chunked, x", b"chunked\t, x", b"chunked\t\r\nTransfer-Encoding: chunked", b"chunked\t\r\nContent-Length: 5", b"chunked\x0b", b"")
    ),
    refused("upgrade-websocket-chunked-and-a-tab", _with(b"Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\t", LAST) + SECOND),
    passes("upgrade-h2c-nominates-settings-by-underscore", _get(b"Host: x", b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2_Settings: AAMA", b"HTTP2-Settings: AAMA"), Saw()),
    passes("upgrade-h2c-and-ten-requests", _get(b"Host: x", *_H2C) + SECOND * 10, Saw(), *[SAW_SECOND] * 10),
    passes("upgrade-h2c-cut-in-the-next-request", (_get(b"Host: x", *_H2C) + SECOND[:20], SECOND[20:]), Saw(), SAW_SECOND),
    passes(
        "upgrade-h2c-and-a-body-that-is-a-request",
        _get(b"Host: x", *_H2C) + _with(b"Content-Length: %d" % len(SECOND), SECOND) + SECOND,
        Saw(),
        Saw("POST", fields=(length(len(SECOND)),), body=SECOND),
        SAW_SECOND,
    ),
    Case("upgrade-h2c-to-what-needs-a-credential", (_get(b"Host: x", *_H2C, line=b"GET /private HTTP/1.1") + SECOND,), (Verdict(401, "unauthenticated"),), closes=True),
    Case("upgrade-h2c-then-its-preface", (_get(b"Host: x", *_H2C) + _H2_PREFACE,), (OK, BAD), closes=True, seen=(Saw(),), is_one_read=True),
    refused("upgrade-h2c-two-lengths", _with(_TO_H2 + b"\r\nContent-Length: 5\r\nContent-Length: 6", b"hello!")),
    refused("upgrade-h2c-both-framings", _with(_TO_H2 + b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", LAST)),
    refused("upgrade-h2c-other-host", _get(b"Host: x", *_H2C, line=b"GET http://y/ HTTP/1.1"), HOST),
    _ignored("h2c-any-case", b"H2C"),
    _ignored("h2c-in-a-list", b"x, h2c"),
    _ignored("tls", b"TLS/1.0"),
    _ignored("http-2", b"HTTP/2.0"),
    _ignored("unknown", b"my-proto/2"),
    _ignored("empty", b""),
    _ignored("no-token", b"a/b/c"),
    _ignored("commas", b",,"),
    _ignored("high-byte", b"h2c\xff"),
    passes("upgrade-in-two-lines", _get(b"Host: x", b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: x") + SECOND, Saw(), SAW_SECOND),
    passes("upgrade-not-in-connection", _get(b"Host: x", b"Upgrade: h2c"), Saw()),
    passes("upgrade-only-in-connection", _get(b"Host: x", b"Connection: Upgrade"), Saw()),
    passes("settings-of-h2-alone", _get(b"Host: x", b"Connection: HTTP2-Settings", b"HTTP2-Settings: AAMA"), Saw()),
    refused("upgrade-websocket-or-h2c", _get(b"Host: x", b"Connection: Upgrade", b"Upgrade: websocket, h2c") + SECOND, UPGRADE),
    refused("upgrade-h2c-or-websocket", _get(b"Host: x", b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: WebSocket") + SECOND, UPGRADE),
    refused("upgrade-websocket-by-post", _with(b"Connection: Upgrade\r\nUpgrade: websocket"), UPGRADE),
    refused("upgrade-websocket-with-a-version", _get(b"Host: x", b"Connection: Upgrade", b"Upgrade: websocket/13") + SECOND, UPGRADE),
    refused("upgrade-websocket-with-a-body", _with(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5", b"hello")),
]  # fmt: skip


def _smuggled(name: str, fields: bytes, body: bytes) -> Case:
    """A request hides in the body, for the parser that does not agree on where that ends."""
    return refused(f"smuggling-{name}", _with(fields, body))


SMUGGLING: Final = [
    _smuggled("cl-te", b"Content-Length: 42\r\nTransfer-Encoding: chunked", LAST + SECOND),
    _smuggled("te-cl", b"Transfer-Encoding: chunked\r\nContent-Length: 4", b"25\r\n" + SECOND + LAST),
    _smuggled("te-te", b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow", LAST + SECOND),
    _smuggled("te-te-by-tab", b"Transfer-Encoding: chunked\r\nTransfer-Encoding\t: identity", LAST + SECOND),
    _smuggled("cl-cl", b"Content-Length: 0\r\nContent-Length: 37", SECOND),
    passes(
        "smuggling-cl-0",
        _with(b"Content-Length: %d" % len(SECOND), SECOND),
        Saw("POST", fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes(
        "smuggling-0-cl-on-get",
        _get(b"Host: x", b"Content-Length: %d" % len(SECOND), rest=SECOND),
        Saw(fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes(
        "smuggling-by-a-pause",
        (_with(b"Content-Length: %d" % len(SECOND)), SECOND),
        Saw("POST", fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes(
        "smuggling-by-expect-and-a-pause",
        (_with(_EXPECT + b"\r\nContent-Length: %d" % len(SECOND)), SECOND),
        Saw("POST", fields=(length(len(SECOND)),), body=SECOND),
    ),
    refused("smuggling-by-a-pause-that-lasts", _with(b"Content-Length: 1000") + SECOND, LATE),
    refused("smuggling-by-spilt-chunk-data", _chunks(b"5\r\nhello\r\r\n" + LAST + SECOND)),
    refused("smuggling-by-a-chunk-size-too-short", _chunks(b"3\r\nhello\r\n" + LAST + SECOND)),
    Case("smuggling-by-a-body-without-length", (_with(b"X-T: v", b"hello=1 "),), (OK, BAD), closes=True, seen=(Saw("POST", fields=(("X-T", "v"),)),)),
    passes(
        "request-behind-chunks",
        _chunks(b"5\r\nhello\r\n" + LAST) + SECOND,
        POSTED._replace(body=b"hello"),
        SAW_SECOND,
    ),
    passes("two-requests", GET + SECOND, Saw(), SAW_SECOND),
    passes("two-requests-with-an-empty-line", GET + b"\r\n" + SECOND, Saw(), SAW_SECOND),
    passes("ten-requests", GET * 10, *[Saw()] * 10),
    Case("good-then-bad-together", (GET + b"GET /public/x HTTP/1.1\r\nHo st: x\r\n\r\n",), (OK, BAD), closes=True, seen=(Saw(),)),
    Case("good-then-bad", (GET, b"GET /public/x HTTP/1.1\r\nHo st: x\r\n\r\n" + SECOND), (OK, BAD), closes=True, seen=(Saw(),), is_one_read=True),
    refused("bad-then-good", b"GET /public/x HTTP/1.1\r\nHo st: x\r\n\r\n" + GET),
    Case("refused-then-good", (GET + _target(b"/a/../b") + SECOND,), (OK, TARGET), closes=True, seen=(Saw(),), is_one_read=True),
    Case(
        "refused-framing-then-good",
        (GET + _with(b"Transfer-Encoding: ,chunked", LAST) + SECOND,),
        (OK, CODING),
        closes=True,
        seen=(Saw(),),
        is_one_read=True,
    ),
    passes("request-after-close", (_get(b"Host: x", b"Connection: close"), SECOND), Saw(), closes=True, is_one_read=True),
    passes("request-behind-close", _get(b"Host: x", b"Connection: close") + SECOND, Saw(), closes=True, is_one_read=True),
    passes("request-behind-1.0", _get(b"Host: x", line=b"GET /public/x HTTP/1.0") + SECOND, Saw(), closes=True, is_one_read=True),
    passes("close-wins", _get(b"Host: x", b"Connection: keep-alive, close"), Saw(), closes=True),
    passes("close-in-a-second-field", _get(b"Host: x", b"Connection: keep-alive", b"Connection: CLOSE"), Saw(), closes=True),
    passes("close-wins-in-1.0", _get(b"Host: x", b"Connection: close, keep-alive", line=b"GET /public/x HTTP/1.0"), Saw(), closes=True),
    passes("keep-alive-in-1.0", _get(b"Host: x", b"Connection: Keep-Alive", line=b"GET /public/x HTTP/1.0"), Saw()),
    passes("proxy-connection-is-nothing-in-1.0", _get(b"Host: x", b"Proxy-Connection: keep-alive", line=b"GET /public/x HTTP/1.0"), Saw(), closes=True),
]  # fmt: skip

CASES: Final[list[Case]] = [
    *LENGTHS,
    *CODINGS,
    *CHUNKS,
    *TRAILERS,
    *FIELD_LINES,
    *REQUEST_LINES,
    *NOT_LISTED,
    *TARGETS,
    *HOSTS,
    *SIZES,
    *EXPECTATIONS,
    *UPGRADES,
    *SMUGGLING,
]
