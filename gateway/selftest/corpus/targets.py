"""Hostile targets and hosts, sizes that exceed the caps, and expectations."""

from typing import Final

from gateway.selftest.corpus.request_case import (
    BAD,
    EXPECTATION,
    FIELDS,
    HEAD_BYTES,
    HOST,
    LATE,
    LONG,
    TARGET,
    ExpectedAnswer,
    ExpectedRequest,
    HostileRequest,
    length,
    passes,
    raw_get,
    raw_line,
    raw_post,
    raw_target,
    refused,
)


def _hits(name: str, target: bytes, arrives: str = "/public/x") -> HostileRequest:
    return passes(f"target-{name}", raw_target(target), ExpectedRequest(target=arrives))


def _misses(name: str, target: bytes, verdict: ExpectedAnswer = TARGET) -> HostileRequest:
    return refused(f"target-{name}", raw_target(target), verdict)


TARGETS: Final = [
    _hits("absolute", b"http://x/public/x"),
    _hits("absolute-any-case", b"HTTP://X/public/x"),
    _hits("absolute-default-port", b"http://x:80/public/x"),
    _hits("absolute-default-port-of-https", b"https://x:443/public/x"),
    _hits("absolute-empty-port", b"http://x:/public/x"),
    passes("target-absolute-without-the-port-of-host", raw_get(b"Host: x:80", line=b"GET http://x/public/x HTTP/1.1"), ExpectedRequest(host="x:80")),
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
    refused("target-absolute-without-a-port-that-matters", raw_get(b"Host: x:8080", line=b"GET http://x/public/x HTTP/1.1"), HOST),
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
    refused("target-asterisk-on-options", raw_line(b"OPTIONS * HTTP/1.1"), TARGET),
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


def _host(name: str, *lines: bytes, verdict: ExpectedAnswer = HOST) -> HostileRequest:
    return refused(f"host-{name}", raw_get(*lines), verdict)


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
        parts=(raw_get(b"Host: x", b"Host: y", line=b"GET /public/x HTTP/1.0"),)
    ),
    passes("host-port", raw_get(b"Host: x:8080"), ExpectedRequest(host="x:8080")),
    passes("host-port-empty", raw_get(b"Host: x:"), ExpectedRequest()),
    passes("host-port-empty-behind-an-address", raw_get(b"Host: [::1]:"), ExpectedRequest(host="[::1]")),
    passes("host-address", raw_get(b"Host: [::1]:80"), ExpectedRequest(host="[::1]:80")),
    passes("host-by-underscore", raw_get(b"Host: x", b"X_Host: y", b"X-Forwarded-Host: y"), ExpectedRequest()),
    passes("host-missing-in-1.0", raw_get(line=b"GET /public/x HTTP/1.0"), ExpectedRequest(host="localhost"), closes=True),
]  # fmt: skip

SIZES: Final = [
    passes("fields-as-many-as-may-be", raw_get(b"Host: x", *[b"X: y"] * (FIELDS - 1)), ExpectedRequest(fields=(("X", "y"),) * (FIELDS - 1))),
    refused("fields-one-too-many", raw_get(b"Host: x", *[b"X: y"] * FIELDS), LONG),
    refused("value-that-is-long", raw_post(b"X-T: " + b"v" * HEAD_BYTES), LONG),
    refused("name-that-is-long", raw_post(b"X" * HEAD_BYTES + b": v"), LONG),
    refused("head-that-is-long", raw_get(b"Host: x", *[b"X: " + b"y" * 500] * 10), LONG),
    refused("head-that-never-ends", b"GET /public/x HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 900, LONG),
    refused("head-that-is-withheld", b"GET /public/x HTTP/1.1\r\nHost: x\r\n", LATE),
    refused("line-that-is-withheld", b"GET /pub", LATE),
    refused("empty-lines-without-end", b"\r\n" * HEAD_BYTES),
]  # fmt: skip

EXPECT: Final = b"Expect: 100-continue"
EXPECTATIONS: Final = [
    passes(
        "expect-continue",
        raw_post(b"Content-Length: 5\r\n" + EXPECT, b"hello"),
        ExpectedRequest("POST", fields=(length(5),), body=b"hello"),
    ),
    passes(
        "expect-continue-any-case",
        raw_post(b"Content-Length: 5\r\nExpect: 100-Continue", b"hello"),
        ExpectedRequest("POST", fields=(length(5),), body=b"hello"),
    ),
    passes(
        "expect-continue-in-chunks",
        raw_post(b"Transfer-Encoding: chunked\r\n" + EXPECT, b"5\r\nhello\r\n0\r\n\r\n"),
        ExpectedRequest("POST", fields=(("Expect", "100-continue"), ("Transfer-Encoding", "chunked")), body=b"hello"),
    ),
    refused("expect-continue-body-withheld", raw_post(b"Content-Length: 5\r\n" + EXPECT), LATE),
    refused("expect-other", raw_post(b"Content-Length: 5\r\nExpect: 200-ok", b"hello"), EXPECTATION),
    refused("expect-empty", raw_post(b"Content-Length: 5\r\nExpect:", b"hello"), EXPECTATION),
    refused("expect-list", raw_post(b"Content-Length: 5\r\nExpect: 100-continue, x", b"hello"), EXPECTATION),
    refused("expect-second-field", raw_post(b"Content-Length: 5\r\nExpect: 100-continue\r\nExpect: x", b"hello"), EXPECTATION),
    refused("expect-padded", raw_post(b"Content-Length: 5\r\nExpect: y 100-continue", b"hello"), EXPECTATION),
    passes(
        "expect-continue-in-1.0",
        raw_get(b"Host: x", b"Content-Length: 5", EXPECT, line=b"POST /public/x HTTP/1.0", rest=b"hello"),
        ExpectedRequest("POST", fields=(length(5),), body=b"hello"),
        closes=True,
    ),
]  # fmt: skip
