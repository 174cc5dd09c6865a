"""Hostile chunked bodies: sizes, extensions, ends and trailers."""

from typing import Final

from gateway.selftest.corpus.request_case import (
    GET,
    HEAD_BYTES,
    LAST,
    LATE,
    LONG,
    POSTED,
    SAW_SECOND,
    SECOND,
    HostileRequest,
    passes,
    raw_chunks,
    refused,
)


def _size(name: str, size: bytes) -> HostileRequest:
    """A chunk of five octets whose size is written like this."""
    return refused(f"chunk-size-{name}", raw_chunks(size + b"\r\nhello\r\n" + LAST))


CHUNKS: Final = [
    passes("chunk-zeros-in-front", raw_chunks(b"0005\r\nhello\r\n000\r\n\r\n"), POSTED._replace(body=b"hello")),
    passes("chunk-size-any-case", raw_chunks(b"a\r\n0123456789\r\nA\r\n0123456789\r\n" + LAST), POSTED._replace(body=b"0123456789" * 2)),
    passes("chunk-that-holds-a-request", raw_chunks(b"%x\r\n%b\r\n" % (len(GET), GET) + LAST), POSTED._replace(body=GET)),
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
    refused("chunk-size-ends-in-lf", raw_chunks(b"5\nhello\r\n" + LAST)),
    refused("chunk-size-line-break-first", raw_chunks(b"\r\n5\r\nhello\r\n" + LAST)),
    refused("chunk-data-ends-in-lf", raw_chunks(b"5\r\nhello\n" + LAST)),
    refused("chunk-data-ends-in-cr", raw_chunks(b"5\r\nhello\r" + LAST)),
    refused("chunk-data-ends-in-lf-cr", raw_chunks(b"5\r\nhello\n\r" + LAST)),
    refused("chunk-data-ends-in-nothing", raw_chunks(b"5\r\nhello" + LAST)),
    refused("chunk-data-ends-in-two-others", raw_chunks(b"5\r\nhelloXX" + LAST)),
    refused("chunk-data-longer-than-said", raw_chunks(b"5\r\nhello world\r\n" + LAST)),
    refused("chunk-last-ends-in-lf", raw_chunks(b"5\r\nhello\r\n0\n\r\n")),
    refused("chunk-ends-in-the-read-of-the-fault", (raw_chunks(b"5\r\nhello"), b"\r\n0\n\r\n")),
    refused("chunk-end-is-lf", raw_chunks(b"5\r\nhello\r\n0\r\n\n")),
    refused("chunk-end-is-cr", raw_chunks(b"5\r\nhello\r\n0\r\n\rX")),
    refused("chunk-last-is-negative", raw_chunks(b"5\r\nhello\r\n-0\r\n\r\n")),
    refused("chunk-is-withheld", raw_chunks(b"5\r\nhel"), LATE),
    refused("chunk-last-is-withheld", raw_chunks(b"5\r\nhello\r\n"), LATE),
    refused("chunk-size-2-to-the-64-less-1", raw_chunks(b"ffffffffffffffff\r\nhello"), LATE),
    passes("extension", raw_chunks(b"5;a\r\nhello\r\n0;b\r\n\r\n"), POSTED._replace(body=b"hello")),
    passes("extension-with-value", raw_chunks(b"5;a=b\r\nhello\r\n" + LAST), POSTED._replace(body=b"hello")),
    passes("extension-quoted", raw_chunks(b'5;a="b c\\"d"\r\nhello\r\n' + LAST), POSTED._replace(body=b"hello")),
    refused("extension-without-a-name", raw_chunks(b"5;\r\nhello\r\n" + LAST)),
    refused("extension-without-a-first-name", raw_chunks(b"5;;a\r\nhello\r\n" + LAST)),
    *(
        passes(f"extension-with-white-space-{number}", raw_chunks(b"5" + text + b"\r\nhello\r\n0" + text + b"\r\n\r\n") + SECOND, POSTED._replace(body=b"hello"), SAW_SECOND)
        for number, text in enumerate((b"; a=b", b" ;a", b"\t;\ta\t=\tb", b' ; a = "b ; c" ;d', b";a=b; c"))
    ),
    refused("extension-behind-a-vertical-tab", raw_chunks(b"5\x0b;a\r\nhello\r\n" + LAST)),
    refused("extension-before-a-space", raw_chunks(b"5;a \r\nhello\r\n" + LAST)),
    refused("extension-without-a-value", raw_chunks(b"5;a= \r\nhello\r\n" + LAST)),
    refused("extension-white-space-and-cr", raw_chunks(b"5; \ra\r\nhello\r\n" + LAST)),
    refused("extension-white-space-and-lf", raw_chunks(b"5; a\nhello\r\n" + LAST)),
    refused("extension-of-no-size", raw_chunks(b" ; a\r\nhello\r\n" + LAST)),
    refused("extension-with-a-line-break-in-white-space", raw_chunks(b"5;\r\n a\r\nhello\r\n" + LAST)),
    refused("extension-that-is-withheld", raw_chunks(b"5; a"), LATE),
    refused("extension-with-a-space", raw_chunks(b"5;a=b c\r\nhello\r\n" + LAST)),
    refused("extension-quoted-with-cr", raw_chunks(b'5;a="b\rc"\r\nhello\r\n' + LAST)),
    refused("extension-quoted-with-lf", raw_chunks(b'5;a="b\nc"\r\nhello\r\n' + LAST)),
    refused("extension-quoted-with-a-line-break", raw_chunks(b'5;a="b\r\nc"\r\nhello\r\n' + LAST)),
    refused("extension-quote-that-does-not-end", raw_chunks(b'5;a="\r\nhello\r\n' + LAST)),
    refused("extension-between-cr-and-lf", raw_chunks(b"5\r;a\nhello\r\n" + LAST)),
    refused("extension-behind-and-before-a-cr", raw_chunks(b"5;a\r;b\nhello\r\n" + LAST)),
    refused("extension-between-cr-and-lf-of-the-last", raw_chunks(b"5\r\nhello\r\n0\r;a\n\r\n" + SECOND)),
    refused("extension-with-nul", raw_chunks(b"5;a\x00\r\nhello\r\n" + LAST)),
    refused("extension-with-a-control", raw_chunks(b"5;a=\x01\r\nhello\r\n" + LAST)),
    refused("extension-with-a-high-byte", raw_chunks(b"5;a=\xff\r\nhello\r\n" + LAST)),
    refused("extension-ends-in-lf", raw_chunks(b"5;a\nhello\r\n" + LAST)),
    refused("extension-ends-in-cr", raw_chunks(b"5;a\rhello\r\n" + LAST)),
    refused("extension-term-ext", raw_chunks(b"2;\nxx\r\n41\r\n0\r\n\r\n" + SECOND + LAST)),
    passes("chunks-of-one-byte", raw_chunks(b"1\r\nx\r\n" * 3000 + LAST), POSTED._replace(body=b"x" * 3000)),
    passes("chunks-of-three-bytes", raw_chunks(b"3\r\n12\n\r\n" * 9000 + LAST), POSTED._replace(body=b"12\n" * 9000)),
    passes("chunks-of-one-byte-and-many", raw_chunks(b"1\r\n{\r\n14\r\n0123456789abcdefghi\n\r\n" * 900 + LAST), POSTED._replace(body=b"{0123456789abcdefghi\n" * 900)),
    refused("chunks-of-one-byte-without-end", raw_chunks(b"1\r\nx\r\n" * 9000 + LAST), is_one_read=True),
    refused("chunks-with-more-extension-than-data", raw_chunks(b"1;abcdefghij\r\nx\r\n" * 3000 + LAST), is_one_read=True),
    refused("chunks-with-zeros-in-front", raw_chunks((b"0" * 99 + b"1\r\nx\r\n") * 400 + LAST), is_one_read=True),
    refused("extension-that-is-long", raw_chunks(b"5;" + b"a" * HEAD_BYTES + b"\r\nhello\r\n" + LAST), LONG, is_one_read=True),
]  # fmt: skip


def _trailer(name: str, line: bytes) -> HostileRequest:
    """A trailer that ends at the gateway."""
    return passes(f"trailer-{name}", raw_chunks(b"0\r\n" + line + b"\r\n\r\n"), POSTED)


TRAILERS: Final = [
    _trailer("any", b"X-T: v"),
    _trailer("host", b"Host: evil"),
    _trailer("identity", b"X-User-Issuer: evil"),
    _trailer("identity-by-underscore", b"X_User_Issuer: evil"),
    _trailer("authorization", b"Authorization: Bearer evil"),
    _trailer("cookie", b"Cookie: session=evil"),
    _trailer("connection-close", b"Connection: close"),
    _trailer("forwarded-for", b"X-Forwarded-For: 6.6.6.6"),
    refused("trailer-length", raw_chunks(b"0\r\nContent-Length: 5\r\n\r\n")),
    refused("trailer-coding", raw_chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    refused("trailer-space-before-colon", raw_chunks(b"0\r\nX-T : v\r\n\r\n")),
    refused("trailer-space-first", raw_chunks(b"0\r\n X-T: v\r\n\r\n")),
    refused("trailer-folded", raw_chunks(b"0\r\nX-T: v\r\n w\r\n\r\n")),
    refused("trailer-ends-in-lf", raw_chunks(b"0\r\nX-T: v\n\r\n")),
    refused("trailer-with-bare-cr", raw_chunks(b"0\r\nX-T: v\rw\r\n\r\n")),
    refused("trailer-with-nul", raw_chunks(b"0\r\nX-T: v\x00\r\n\r\n")),
    refused("trailer-without-colon", raw_chunks(b"0\r\nX-T\r\n\r\n")),
    refused("trailer-that-is-a-request", raw_chunks(b"5\r\nhello\r\n0\r\n" + SECOND)),
    refused("trailer-that-is-long", raw_chunks(b"0\r\nX-T: " + b"v" * HEAD_BYTES + b"\r\n\r\n"), LONG),
    refused("trailer-that-is-withheld", raw_chunks(b"0\r\nX-T: v\r\n"), LATE),
]  # fmt: skip
