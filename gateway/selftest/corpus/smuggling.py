"""Upgrades that hide requests, and requests that hide in the bodies of others."""

from typing import Final

from gateway.selftest.corpus.request_case import (
    BAD,
    CHUNKED,
    CODING,
    GET,
    HOST,
    LAST,
    LATE,
    OK,
    POSTED,
    SAW_SECOND,
    SECOND,
    TARGET,
    UPGRADE,
    ExpectedAnswer,
    ExpectedRequest,
    HostileRequest,
    length,
    passes,
    raw_chunks,
    raw_get,
    raw_post,
    raw_target,
    refused,
)
from gateway.selftest.corpus.targets import EXPECT

_H2C: Final = (
    b"Connection: Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAAQAAP__",
)
_TO_H2: Final = b"\r\n".join(_H2C)
_H2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04" + bytes(5)


def _ignored(name: str, protocol: bytes) -> HostileRequest:
    """An upgrade to what no route lists is a request like any other (RFC 9110 section 7.8)."""
    raw = raw_get(b"Host: x", b"Connection: Upgrade", b"Upgrade: " + protocol)
    return passes(f"upgrade-{name}", raw + SECOND, ExpectedRequest(), SAW_SECOND)


UPGRADES: Final = [
    passes("upgrade-h2c", raw_get(b"Host: x", *_H2C), ExpectedRequest()),
    passes("upgrade-h2c-twice", raw_get(b"Host: x", *_H2C) * 2, ExpectedRequest(), ExpectedRequest()),
    passes("upgrade-h2c-and-a-request", raw_get(b"Host: x", *_H2C) + SECOND, ExpectedRequest(), SAW_SECOND),
    passes("upgrade-h2c-and-a-later-request", (raw_get(b"Host: x", *_H2C), SECOND), ExpectedRequest(), SAW_SECOND),
    passes("upgrade-h2c-post", raw_post(_TO_H2), ExpectedRequest("POST")),
    passes("upgrade-h2c-length", raw_post(_TO_H2 + b"\r\nContent-Length: 5", b"hello"), ExpectedRequest("POST", fields=(length(5),), body=b"hello")),
    passes("upgrade-h2c-length-zero", raw_post(_TO_H2 + b"\r\nContent-Length: 0"), ExpectedRequest("POST", fields=(length(0),))),
    passes("upgrade-h2c-chunked", raw_post(_TO_H2 + b"\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n" + LAST), POSTED._replace(body=b"hello")),
    passes("upgrade-h2c-chunked-and-a-request", raw_post(_TO_H2 + b"\r\nTransfer-Encoding: chunked", LAST) + SECOND, POSTED, SAW_SECOND),
    passes(
        "upgrade-h2c-body-that-is-a-request",
        raw_post(_TO_H2 + b"\r\nContent-Length: %d" % len(SECOND), SECOND),
        ExpectedRequest("POST", fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes("upgrade-h2c-and-close", raw_get(b"Host: x", b"Connection: Upgrade, close", b"Upgrade: h2c") + SECOND, ExpectedRequest(), closes=True, is_one_read=True),
    passes("upgrade-h2c-in-1.0", raw_get(b"Host: x", *_H2C, line=b"GET /public/x HTTP/1.0"), ExpectedRequest(), closes=True),
    passes("upgrade-h2c-nominates", raw_get(b"Host: x", b"Connection: Upgrade, X-T, Host", b"Upgrade: h2c", b"X-T: v"), ExpectedRequest()),
    *(
        passes(
            f"upgrade-{name}-chunked-and-{space!r}",
            raw_get(b"Host: x", b"Connection: Upgrade", b"Upgrade: " + name.encode(), b"Transfer-Encoding: chunked" + space, line=line, rest=b"%x\r\n%b\r\n" % (len(GET), GET) + LAST) + SECOND,
            ExpectedRequest(line.decode().split()[0], fields=(CHUNKED,), body=GET),
            SAW_SECOND,
        )
        for name in ("h2c", "tcp", "my-proto/2")
        for line, space in ((b"POST /public/x HTTP/1.1", b"\t"), (b"GET /public/x HTTP/1.1", b" "))
    ),
    *(
        refused(f"upgrade-h2c-coding-{coding!r}", raw_post(_TO_H2 + b"\r\nTransfer-Encoding: " + coding, b"%x\r\n%b\r\n" % (len(GET), GET) + LAST))
        for coding in (b"gzip", b"identity", b"xchunked", b"chunked, x", b"chunked\t, x", b"chunked\t\r\nTransfer-Encoding: chunked", b"chunked\t\r\nContent-Length: 5", b"chunked\x0b", b"")
    ),
    refused("upgrade-websocket-chunked-and-a-tab", raw_post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\t", LAST) + SECOND),
    passes("upgrade-h2c-nominates-settings-by-underscore", raw_get(b"Host: x", b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2_Settings: AAMA", b"HTTP2-Settings: AAMA"), ExpectedRequest()),
    passes("upgrade-h2c-and-ten-requests", raw_get(b"Host: x", *_H2C) + SECOND * 10, ExpectedRequest(), *[SAW_SECOND] * 10),
    passes("upgrade-h2c-cut-in-the-next-request", (raw_get(b"Host: x", *_H2C) + SECOND[:20], SECOND[20:]), ExpectedRequest(), SAW_SECOND),
    passes(
        "upgrade-h2c-and-a-body-that-is-a-request",
        raw_get(b"Host: x", *_H2C) + raw_post(b"Content-Length: %d" % len(SECOND), SECOND) + SECOND,
        ExpectedRequest(),
        ExpectedRequest("POST", fields=(length(len(SECOND)),), body=SECOND),
        SAW_SECOND,
    ),
    HostileRequest("upgrade-h2c-to-what-needs-a-credential", (raw_get(b"Host: x", *_H2C, line=b"GET /private HTTP/1.1") + SECOND,), (ExpectedAnswer(401, "unauthenticated"),), closes=True),
    HostileRequest("upgrade-h2c-then-its-preface", (raw_get(b"Host: x", *_H2C) + _H2_PREFACE,), (OK, BAD), closes=True, seen=(ExpectedRequest(),), is_one_read=True),
    refused("upgrade-h2c-two-lengths", raw_post(_TO_H2 + b"\r\nContent-Length: 5\r\nContent-Length: 6", b"hello!")),
    refused("upgrade-h2c-both-framings", raw_post(_TO_H2 + b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", LAST)),
    refused("upgrade-h2c-other-host", raw_get(b"Host: x", *_H2C, line=b"GET http://y/ HTTP/1.1"), HOST),
    _ignored("h2c-any-case", b"H2C"),
    _ignored("h2c-in-a-list", b"x, h2c"),
    _ignored("tls", b"TLS/1.0"),
    _ignored("http-2", b"HTTP/2.0"),
    _ignored("unknown", b"my-proto/2"),
    _ignored("empty", b""),
    _ignored("no-token", b"a/b/c"),
    _ignored("commas", b",,"),
    _ignored("high-byte", b"h2c\xff"),
    passes("upgrade-in-two-lines", raw_get(b"Host: x", b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: x") + SECOND, ExpectedRequest(), SAW_SECOND),
    passes("upgrade-not-in-connection", raw_get(b"Host: x", b"Upgrade: h2c"), ExpectedRequest()),
    passes("upgrade-only-in-connection", raw_get(b"Host: x", b"Connection: Upgrade"), ExpectedRequest()),
    passes("settings-of-h2-alone", raw_get(b"Host: x", b"Connection: HTTP2-Settings", b"HTTP2-Settings: AAMA"), ExpectedRequest()),
    refused("upgrade-websocket-or-h2c", raw_get(b"Host: x", b"Connection: Upgrade", b"Upgrade: websocket, h2c") + SECOND, UPGRADE),
    refused("upgrade-h2c-or-websocket", raw_get(b"Host: x", b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: WebSocket") + SECOND, UPGRADE),
    refused("upgrade-websocket-by-post", raw_post(b"Connection: Upgrade\r\nUpgrade: websocket"), UPGRADE),
    refused("upgrade-websocket-with-a-version", raw_get(b"Host: x", b"Connection: Upgrade", b"Upgrade: websocket/13") + SECOND, UPGRADE),
    refused("upgrade-websocket-with-a-body", raw_post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5", b"hello")),
]  # fmt: skip


def _smuggled(name: str, fields: bytes, body: bytes) -> HostileRequest:
    """A request hides in the body, for the parser that does not agree on where that ends."""
    return refused(f"smuggling-{name}", raw_post(fields, body))


SMUGGLING: Final = [
    _smuggled("cl-te", b"Content-Length: 42\r\nTransfer-Encoding: chunked", LAST + SECOND),
    _smuggled("te-cl", b"Transfer-Encoding: chunked\r\nContent-Length: 4", b"25\r\n" + SECOND + LAST),
    _smuggled("te-te", b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow", LAST + SECOND),
    _smuggled("te-te-by-tab", b"Transfer-Encoding: chunked\r\nTransfer-Encoding\t: identity", LAST + SECOND),
    _smuggled("cl-cl", b"Content-Length: 0\r\nContent-Length: 37", SECOND),
    passes(
        "smuggling-cl-0",
        raw_post(b"Content-Length: %d" % len(SECOND), SECOND),
        ExpectedRequest("POST", fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes(
        "smuggling-0-cl-on-get",
        raw_get(b"Host: x", b"Content-Length: %d" % len(SECOND), rest=SECOND),
        ExpectedRequest(fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes(
        "smuggling-by-a-pause",
        (raw_post(b"Content-Length: %d" % len(SECOND)), SECOND),
        ExpectedRequest("POST", fields=(length(len(SECOND)),), body=SECOND),
    ),
    passes(
        "smuggling-by-expect-and-a-pause",
        (raw_post(EXPECT + b"\r\nContent-Length: %d" % len(SECOND)), SECOND),
        ExpectedRequest("POST", fields=(length(len(SECOND)),), body=SECOND),
    ),
    refused("smuggling-by-a-pause-that-lasts", raw_post(b"Content-Length: 1000") + SECOND, LATE),
    refused("smuggling-by-spilt-chunk-data", raw_chunks(b"5\r\nhello\r\r\n" + LAST + SECOND)),
    refused("smuggling-by-a-chunk-size-too-short", raw_chunks(b"3\r\nhello\r\n" + LAST + SECOND)),
    HostileRequest("smuggling-by-a-body-without-length", (raw_post(b"X-T: v", b"hello=1 "),), (OK, BAD), closes=True, seen=(ExpectedRequest("POST", fields=(("X-T", "v"),)),)),
    passes(
        "request-behind-chunks",
        raw_chunks(b"5\r\nhello\r\n" + LAST) + SECOND,
        POSTED._replace(body=b"hello"),
        SAW_SECOND,
    ),
    passes("two-requests", GET + SECOND, ExpectedRequest(), SAW_SECOND),
    passes("two-requests-with-an-empty-line", GET + b"\r\n" + SECOND, ExpectedRequest(), SAW_SECOND),
    passes("ten-requests", GET * 10, *[ExpectedRequest()] * 10),
    HostileRequest("good-then-bad-together", (GET + b"GET /public/x HTTP/1.1\r\nHo st: x\r\n\r\n",), (OK, BAD), closes=True, seen=(ExpectedRequest(),)),
    HostileRequest("good-then-bad", (GET, b"GET /public/x HTTP/1.1\r\nHo st: x\r\n\r\n" + SECOND), (OK, BAD), closes=True, seen=(ExpectedRequest(),), is_one_read=True),
    refused("bad-then-good", b"GET /public/x HTTP/1.1\r\nHo st: x\r\n\r\n" + GET),
    HostileRequest("refused-then-good", (GET + raw_target(b"/a/../b") + SECOND,), (OK, TARGET), closes=True, seen=(ExpectedRequest(),), is_one_read=True),
    HostileRequest(
        "refused-framing-then-good",
        (GET + raw_post(b"Transfer-Encoding: ,chunked", LAST) + SECOND,),
        (OK, CODING),
        closes=True,
        seen=(ExpectedRequest(),),
        is_one_read=True,
    ),
    passes("request-after-close", (raw_get(b"Host: x", b"Connection: close"), SECOND), ExpectedRequest(), closes=True, is_one_read=True),
    passes("request-behind-close", raw_get(b"Host: x", b"Connection: close") + SECOND, ExpectedRequest(), closes=True, is_one_read=True),
    passes("request-behind-1.0", raw_get(b"Host: x", line=b"GET /public/x HTTP/1.0") + SECOND, ExpectedRequest(), closes=True, is_one_read=True),
    passes("close-wins", raw_get(b"Host: x", b"Connection: keep-alive, close"), ExpectedRequest(), closes=True),
    passes("close-in-a-second-field", raw_get(b"Host: x", b"Connection: keep-alive", b"Connection: CLOSE"), ExpectedRequest(), closes=True),
    passes("close-wins-in-1.0", raw_get(b"Host: x", b"Connection: close, keep-alive", line=b"GET /public/x HTTP/1.0"), ExpectedRequest(), closes=True),
    passes("keep-alive-in-1.0", raw_get(b"Host: x", b"Connection: Keep-Alive", line=b"GET /public/x HTTP/1.0"), ExpectedRequest()),
    passes("proxy-connection-is-nothing-in-1.0", raw_get(b"Host: x", b"Proxy-Connection: keep-alive", line=b"GET /public/x HTTP/1.0"), ExpectedRequest(), closes=True),
]  # fmt: skip
