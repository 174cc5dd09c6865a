"""Hostile field lines and request lines: names, values, methods and versions."""

from typing import Final

from gateway.selftest.corpus.request_case import (
    BAD,
    CHUNKED,
    GET,
    HEAD_BYTES,
    LAST,
    LATE,
    LONG,
    METHOD,
    NOT_ALLOWED,
    OK,
    SAW_SECOND,
    SECOND,
    TARGET,
    UPGRADE,
    VERSION,
    ExpectedAnswer,
    ExpectedRequest,
    HostileRequest,
    length,
    passes,
    raw_get,
    raw_line,
    raw_post,
    refused,
)


def _name(name: str, character: bytes) -> HostileRequest:
    return refused(f"name-with-{name}", raw_post(b"X" + character + b"T: v"))


def _value(name: str, character: bytes) -> HostileRequest:
    return refused(f"value-with-{name}", raw_post(b"X-T: a" + character + b"b"))


def _value_passes(name: str, value: bytes, arrives: str) -> HostileRequest:
    return passes(
        f"value-{name}",
        raw_post(b"X-T:" + value),
        ExpectedRequest("POST", fields=(("X-T", arrives),)),
    )


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
    refused("name-empty", raw_post(b": v")),
    refused("name-alone", raw_post(b"X-T")),
    refused("name-behind-a-space", raw_post(b" X-T: v")),
    refused("name-behind-a-tab", raw_post(b"\tX-T: v")),
    refused("name-behind-a-space-as-first-line", raw_get(b" X-T: v", b"Host: x")),
    refused("fields-end-in-lf", b"GET /public/x HTTP/1.1\r\nHost: x\r\n\n"),
    refused("fields-end-in-cr-cr-lf", b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\r\n"),
    refused("lines-end-in-lf", GET.replace(b"\r\n", b"\n")),
    refused("lines-end-in-cr", GET.replace(b"\r\n", b"\r") + b"\r\n\r\n"),
    refused("first-line-ends-in-lf", b"GET /public/x HTTP/1.1\nHost: x\r\n\r\n"),
    refused("first-line-ends-in-cr", b"GET /public/x HTTP/1.1\rHost: x\r\n\r\n"),
    passes(
        "fields-repeated",
        raw_post(b"X-b: 2\r\nx-A: 1\r\nX-B: 3"),
        ExpectedRequest("POST", fields=(("X-b", "2"), ("x-A", "1"), ("X-B", "3"))),
    ),
    passes("identity-forged", raw_post(b"X-User-Issuer: e\r\nX_User_Issuer: e\r\nx.user.issuer: e\r\nX-USER-EMAIL: e"), ExpectedRequest("POST")),
    *(passes(f"identity-{name.lower()}", raw_post(_foreign(name)), ExpectedRequest("POST")) for name in FOREIGN_NAMES),
    passes("bearer-malformed", raw_post(b"Authorization: Bearer,evil"), ExpectedRequest("POST")),
    passes("bearer-like", raw_post(b"Authorization: Bearerish x"), ExpectedRequest("POST", fields=(("Authorization", "Bearerish x"),))),
    passes("identity-nominated", raw_post(b"Connection: X-Request-Id, Via, Host\r\nX-T: v"), ExpectedRequest("POST", fields=(("X-T", "v"),))),
    passes("hop-by-hop-nominated", raw_post(b"Connection: X-T\r\nX-T: v\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: X\r\nProxy-Connection: x"), ExpectedRequest("POST")),
    passes("length-nominated", raw_post(b"Connection: Content-Length\r\nContent-Length: 5", b"hello"), ExpectedRequest("POST", fields=(length(5),), body=b"hello")),
]  # fmt: skip


def _version(version: bytes, verdict: ExpectedAnswer = BAD) -> HostileRequest:
    return refused(f"version-{version.decode()}", raw_line(b"GET /public/x " + version), verdict)


def _method(method: bytes, verdict: ExpectedAnswer = BAD) -> HostileRequest:
    return refused(
        f"method-{len(method)}-{method[:20]!r}", raw_line(method + b" /public/x HTTP/1.1"), verdict
    )


REQUEST_LINES: Final = [
    *(_version(v) for v in (b"HTTP/1.2", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1", b"HTTP/1.")),
    *(_version(v) for v in (b"HTTP/3.0", b"HTTP/9.9", b"HTTP/1,1", b"HTTP /1.1", b"HTTP/ 1.1")),
    *(_version(v) for v in (b"http/1.1", b"Http/1.1", b"HTTP/-1.1", b"HTTP/1.1 ", b"HTTP/1.1\t")),
    *(_version(v) for v in (b"HTTP/1.1\x00", b"HTTP/1.1\x0b", b"HTTP/1.1x", b"SIP/2.0", b"XHTTP/1.1")),
    _version(b"HTTP/2.0", VERSION),
    _version(b"HTTP/0.9", VERSION),
    _version(b"RTSP/1.0"),
    refused("source-of-icecast", raw_line(b"SOURCE /public/x ICE/1.0")),
    refused("describe-of-rtsp", raw_line(b"DESCRIBE /public/x RTSP/1.0")),
    refused("http-0.9", b"GET /public/x\r\n\r\n", VERSION),
    refused("http-0.9-with-fields", raw_line(b"GET /public/x"), VERSION),
    refused("http-2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
    refused("an-answer", raw_line(b"HTTP/1.1 200 OK")),
    refused("tls-client-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50)),
    refused("byte-order-mark", b"\xef\xbb\xbf" + GET),
    refused("nul-first", b"\x00" + GET),
    refused("space-first", b" " + GET),
    passes("one-empty-line-first", b"\r\n" + GET, ExpectedRequest()),
    refused("two-empty-lines-first", b"\r\n\r\n" + GET),
    refused("bare-lf-first", b"\n" + GET),
    refused("bare-cr-first", b"\r" + GET),
    refused("cr-cr-lf-first", b"\r\r\n" + GET),
    refused("only-the-method", raw_line(b"GET")),
    refused("method-and-space", raw_line(b"GET ")),
    refused("two-spaces-before-the-target", raw_line(b"GET  /public/x HTTP/1.1")),
    refused("two-spaces-after-the-target", raw_line(b"GET /public/x  HTTP/1.1")),
    refused("tab-before-the-target", raw_line(b"GET\t/public/x HTTP/1.1")),
    refused("tab-after-the-target", raw_line(b"GET /public/x\tHTTP/1.1")),
    refused("cr-after-the-target", raw_line(b"GET /public/x\rHTTP/1.1")),
    refused("vertical-tab-after-the-target", raw_line(b"GET /public/x\x0bHTTP/1.1")),
    refused("space-in-the-target", raw_line(b"GET /public/x /y HTTP/1.1")),
    _method(b"TRACE", METHOD),
    _method(b"CONNECT", UPGRADE),
    refused("connect-authority", raw_line(b"CONNECT x:443 HTTP/1.1"), UPGRADE),
    refused("connect-with-a-request-behind", raw_line(b"CONNECT x:443 HTTP/1.1") + SECOND, UPGRADE),
    *(_method(m, METHOD) for m in (b"get", b"Get", b"FOO", b"GETX", b"DESCRIBE", b"A" * 64)),
    *(_method(m, METHOD) for m in (b"F", b"PRIX", b"G-_.!#$%&'*+^`|~1", b"trace", b"connect")),
    *map(_method, (b"PRI", b"G\x00T", b"GE(T", b"G:T", b"A" * 65)),
    refused("method-unknown-and-two-spaces", raw_line(b"FOO  /any/x HTTP/1.1")),
    refused("method-unknown-and-a-tab", raw_line(b"FOO\t/any/x HTTP/1.1")),
    refused("method-unknown-in-0.9", b"FOO /any/x\r\n\r\n", VERSION),
    refused("method-unknown-in-rtsp", raw_line(b"FOO /any/x RTSP/1.0")),
    refused("method-unknown-behind-a-space", b" " + raw_line(b"FOO /any/x HTTP/1.1")),
    refused("method-unknown-behind-two-empty-lines", b"\r\n\r\n" + raw_line(b"FOO /any/x HTTP/1.1")),
    refused("method-unknown-and-a-bare-lf", b"FOO /any/x HTTP/1.1\nHost: x\r\n\r\n"),
    refused("method-unknown-without-host", b"FOO /any/x HTTP/1.1\r\n\r\n"),
    refused("method-unknown-and-two-framings", raw_get(b"Host: x", b"Content-Length: 4", b"Transfer-Encoding: chunked", line=b"FOO /any/x HTTP/1.1", rest=LAST)),
    refused("method-unknown-and-a-bad-target", raw_line(b"FOO /any/../x HTTP/1.1"), TARGET),
    refused("method-unknown-that-is-withheld", b"FOO /any/x HTTP/1.1\r\nHost: x\r\n", LATE),
    refused("method-unknown-that-never-ends", b"FOO /any/x HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 900, LONG),
    *(refused(f"method-{m.decode()}-of-any", raw_line(m + b" /any/x HTTP/1.1"), METHOD) for m in (b"TRACE", b"trace", b"Connect", b"get", b"FOo")),
    refused("method-PRI-of-any", raw_line(b"PRI /any/x HTTP/1.1")),
    refused("method-CONNECT-of-any", raw_line(b"CONNECT /any/x HTTP/1.1"), UPGRADE),
    passes("method-unknown-of-any", raw_line(b"FOO /any/x HTTP/1.1"), ExpectedRequest("FOO", "/any/x")),
    passes("method-unknown-with-punctuation", raw_line(b"A_1.B!'~ /any/x HTTP/1.1"), ExpectedRequest("A_1.B!'~", "/any/x")),
    passes("method-unknown-that-begins-like-another", raw_line(b"GETX /any/x HTTP/1.1"), ExpectedRequest("GETX", "/any/x")),
    passes("method-of-rtsp-in-http", raw_line(b"DESCRIBE /any/x HTTP/1.1"), ExpectedRequest("DESCRIBE", "/any/x")),
    passes("method-unknown-that-is-listed", raw_line(b"FOO /listed/x HTTP/1.1") + SECOND, ExpectedRequest("FOO", "/listed/x"), SAW_SECOND),
    passes("method-unknown-twice", raw_line(b"FOO /any/x HTTP/1.1") * 2, ExpectedRequest("FOO", "/any/x"), ExpectedRequest("FOO", "/any/x")),
    passes("method-unknown-behind-an-empty-line", b"\r\n" + raw_line(b"FOO /any/x HTTP/1.1"), ExpectedRequest("FOO", "/any/x")),
    passes("method-unknown-between-two", GET + raw_line(b"FOO /any/x HTTP/1.1") + SECOND, ExpectedRequest(), ExpectedRequest("FOO", "/any/x"), SAW_SECOND),
    passes(
        "method-unknown-with-a-length",
        raw_get(b"Host: x", b"Content-Length: %d" % len(SECOND), line=b"FOO /any/x HTTP/1.1", rest=SECOND),
        ExpectedRequest("FOO", "/any/x", fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes(
        "method-unknown-with-chunks",
        raw_get(b"Host: x", b"Transfer-Encoding: chunked\t", line=b"FOO /any/x HTTP/1.1", rest=b"5\r\nhello\r\n" + LAST) + SECOND,
        ExpectedRequest("FOO", "/any/x", fields=(CHUNKED,), body=b"hello"),
        SAW_SECOND,
    ),
    passes("method-unknown-in-1.0", raw_line(b"FOO /any/x HTTP/1.0"), ExpectedRequest("FOO", "/any/x"), closes=True),
    *map(_method, (b"GE\xc3\xa9", b"GET\x0b", b"", b"A" * 300, b"A" * (HEAD_BYTES + 1))),
    *(
        passes(f"method-{m}", raw_line(f"{m} /public/x HTTP/1.1".encode()), ExpectedRequest(m))
        for m in ("DELETE", "OPTIONS", "PATCH", "PROPFIND", "PUT", "REPORT")
    ),
]  # fmt: skip


def _not_allowed(name: str, fields: bytes = b"", rest: bytes = b"") -> HostileRequest:
    """A method that no route of the path lists; what comes behind is a request of its own."""
    raw = raw_get(b"Host: x" + fields, line=b"PUT /listed/x HTTP/1.1", rest=rest)
    answers = (NOT_ALLOWED, OK)
    return HostileRequest(
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
    refused("not-allowed-with-chunks", raw_get(b"Host: x", b"Transfer-Encoding: chunked\t", line=b"PUT /listed/x HTTP/1.1", rest=b"%x\r\n%b\r\n" % (len(GET), GET) + LAST) + SECOND, NOT_ALLOWED, is_one_read=True),
    _not_allowed("by-an-upgrade", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d" % len(GET), GET),
    refused("not-allowed-with-a-body-that-is-withheld", raw_get(b"Host: x", b"Content-Length: 1000", line=b"PUT /listed/x HTTP/1.1", rest=GET), NOT_ALLOWED),
    refused("not-listed-and-unknown-with-a-length", raw_get(b"Host: x", b"Content-Length: %d" % len(GET), line=b"BAR /listed/x HTTP/1.1", rest=GET) + SECOND, METHOD),
    refused("not-listed-on-our-own-page", raw_line(b"BAR /_gateway/login HTTP/1.1") + SECOND, METHOD),
    refused("not-listed-by-a-dot-segment", raw_line(b"PUT /any/../listed/x HTTP/1.1"), TARGET),
    refused("not-listed-by-another-reading", raw_line(b"PUT /any;/../listed/x HTTP/1.1"), TARGET),
    passes(
        "any-method-and-a-request-as-its-body",
        raw_get(b"Host: x", b"Content-Length: %d" % len(SECOND), line=b"ANNOUNCE /any/x HTTP/1.1", rest=SECOND) + SECOND,
        ExpectedRequest("ANNOUNCE", "/any/x", fields=(length(len(SECOND)),), body=SECOND),
        SAW_SECOND,
    ),
]  # fmt: skip
