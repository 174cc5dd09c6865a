"""Random requests: heads as browsers and programs send them, and what attackers make of them."""

from collections.abc import Callable
from random import Random

_LINES = (
    b"Connection: keep-alive",
    b"Cache-Control: max-age=0",
    b'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"',
    b"sec-ch-ua-mobile: ?0",
    b'sec-ch-ua-platform: "Linux"',
    b"Upgrade-Insecure-Requests: 1",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/128.0.0.0 Safari/537.36",
    b"Accept: text/html,application/xhtml+xml,*/*;q=0.8",
    b"Sec-Fetch-Site: same-origin",
    b"Sec-Fetch-Mode: navigate",
    b"Sec-Fetch-Dest: document",
    b"Referer: https://app.example.com/orders/12",
    b"Accept-Encoding: gzip, deflate, br",
    b"Accept-Language: en;q=0.9",
    b"Cookie: __Host-session=c2Vzc2lvbg",
    b"Cookie: a=b; __Host-session=c2Vzc2lvbg; c=d",
    b"Cookie: a=b",
    b"Authorization: Bearer dG9rZW4",
    b"Authorization: Basic dG9rZW4=",
    b"Authorization: Negotiate dG9rZW4=",
    b"X-API-Key: gwk_a",
    b"Origin: https://app.example.com",
    b"X-Requested-With: XMLHttpRequest",
    b"X-Forwarded-For: 203.0.113.9, 10.0.0.1",
    b"X-Forwarded-Proto: https",
    b"Forwarded: for=203.0.113.9;proto=https",
    b"Via: 1.1 proxy",
    b"X-Request-Id: 1234",
    b'If-None-Match: W/"1"',
    b"Range: bytes=0-1",
    b"DNT: 1",
    b"Content-Type: text/plain",
    b"Content-Encoding: gzip",
    b"ETag: x",
)
_ODD_LINES = (
    b"Connection: close",
    b"Connection: Keep-Alive",
    b"Connection: keep-alive, X-Request-Id",
    b"Connection: x-user-issuer",
    b"Connection: upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Key1: 1",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Transfer_Encoding: chunked",
    b"Content-Length: 0",
    b"Content-Length: 1",
    b"Content-Length: 007",
    b"Content-Length: +3",
    b"Content-Length: 3, 3",
    b"Content-Length: 99999999999999999999",
    b"Content_Length: 3",
    b"Expect: 100-continue",
    b"Expect: 200-ok",
    b"TE: trailers",
    b"Trailer: X-A",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"Proxy-Authorization: Basic eA==",
    b"Proxy: http://evil.example",
    b"Host: other.example.com",
    b"host:app.example.com",
    b"HOST: ",
    b"X-User-Issuer: evil",
    b"X_User_Issuer: evil",
    b"X-Gateway-Identity: evil",
    b"X-Original-URL: /admin",
    b"X-HTTP-Method-Override: DELETE",
    b"X-Empty:",
    b"X-Empty: ",
    b"X-Space:  two",
    b"X-Space: behind ",
    b"X-Tab:\tv",
    b"X-Tab: a\tb",
    b"X-Name : v",
    b" X-Fold: v",
    b"\tfolded",
    b": no name",
    b"no colon",
    b"",
    b"X-Colon: a: b",
    b"X:Y: z",
    b"X-(: v",
    b"X-Latin: caf\xe9",
    b"X-Utf-8: caf\xc3\xa9",
    b"X-Nul: a\0b",
    b"X-Del: a\x7fb",
    b"X-Bare: a\rb",
    b"X-Bare: a\nX-User-Issuer: evil",
    b"X-Long: " + b"v" * 600,
    b"X-" + b"n" * 70 + b": v",
    b"X-" + b"n" * 140 + b": v",
    b"X-Too-Long: " + b"v" * 5000,
)
_TARGETS = (b"/", b"/a/b?c=d&e=%20", b"/a;b=c", b"//a", b"/..%2f", b"/a\\b|c{}", b"/?", b"/a'\"<>")
_ODD_TARGETS = (
    *(
        b"*",
        b"app.example.com:80",
        b"http://app.example.com/a",
        b"/a#b",
        b"/\xc3\xa9",
        b"/a b",
        b"a",
    ),
    *(b"", b"/\t", b"/\x7f", b"/\0"),
)
_METHODS = (b"GET", b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS")
_ODD_METHODS = (b"CONNECT", b"TRACE", b"QUERY", b"PROPFIND", b"get", b"FOO", b"PRI", b"G ET", b"")
_VERSIONS = (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"RTSP/1.0", b"")
_PIECES = (
    *(b" ", b"\t", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b"\x0b", b"\x7f", b"\x80", b"\xff"),
    *(b":", b": ", b"::", b",", b";", b"a", b"\r\n ", b"\r\n\t", b"\n\n", b"\r\r\n", b"\xc2\xa0"),
)


def random_request(random: Random) -> bytes:
    """Return the bytes of one read: most often one whole request, in many odd forms."""
    fields = [b"Host: app.example.com"] if random.random() < 0.97 else []
    fields += random.sample(_LINES, random.randint(0, 14))
    while random.random() < 0.25:
        fields.insert(random.randint(0, len(fields)), _new_line(random))
    while random.random() < 0.2:
        fields.insert(random.randint(0, len(fields)), random.choice(_ODD_LINES))
    if random.random() < 0.1 and fields:
        fields.append(random.choice(fields))
    if random.random() < 0.1 and fields:
        at = random.randrange(len(fields))
        fields[at] = _with_odd_case(random, fields[at])
    if random.random() < 0.3:
        random.shuffle(fields)
    body = b""
    if random.random() < 0.2:
        body = random.randbytes(random.randint(0, 40))
        length = len(body) + (random.choice((-1, 0, 1)) if random.random() < 0.2 else 0)
        fields.insert(random.randint(0, len(fields)), b"Content-Length: %d" % length)
    if random.random() < 0.05:
        body += random.choice((b"\r\n\r\n", b"0\r\n\r\n", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"))
    data = b"\r\n".join([_request_line(random), *fields, b"", body])
    while random.random() < 0.3:
        data = random.choice(_MUTATIONS)(random, data)
    return data


def _request_line(random: Random) -> bytes:
    is_odd = random.random() < 0.05
    method = random.choice(_ODD_METHODS if is_odd else _METHODS)
    target = random.choice(_ODD_TARGETS if random.random() < 0.05 else _TARGETS)
    version = random.choice(_VERSIONS) if random.random() < 0.05 else b"HTTP/1.1"
    return b" ".join((method, target, version))


def _new_line(random: Random) -> bytes:
    """A line that came in no other head."""
    if random.random() < 0.3:
        return b"X-%x: v" % random.getrandbits(40)
    return b"X-Trace-Id: %x" % random.getrandbits(64)


def _with_odd_case(random: Random, line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    return random.choice((name.lower(), name.upper(), name.swapcase())) + colon + value


def _flip(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data)) if data else 0
    return data[:at] + bytes((random.randrange(256),)) + data[at + 1 :]


def _insert(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(_PIECES) + data[at:]


def _delete(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + data[at + random.randint(1, 4) :]


def _double_part(random: Random, data: bytes) -> bytes:
    begin, end = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    return data[:end] + data[begin:]


def _cut(random: Random, data: bytes) -> bytes:
    return data[: random.randint(0, len(data))]


def _bare_line_end(random: Random, data: bytes) -> bytes:
    return data.replace(b"\r\n", random.choice((b"\n", b"\r")), random.randint(1, 3))


def _around_colon(random: Random, data: bytes) -> bytes:
    parts = data.split(b": ")
    if len(parts) < 2:
        return data
    at = random.randrange(1, len(parts))
    colon = random.choice((b":", b":  ", b" : ", b":\t", b" :", b"::", b": \t", b":\r\n "))
    return b": ".join(parts[:at]) + colon + b": ".join(parts[at:])


_Mutation = Callable[[Random, bytes], bytes]
_MUTATIONS: tuple[_Mutation, ...] = (
    *(_flip, _flip, _insert, _insert, _delete, _double_part, _cut, _bare_line_end, _around_colon),
)
