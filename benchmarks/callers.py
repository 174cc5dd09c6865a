"""Requests of the scenarios: with a session, with a token, and without credentials."""

import secrets
import ssl
from collections.abc import Iterable, Sequence
from functools import cached_property
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import NamedTuple

from benchmarks.build import CannotRun, NotHere
from benchmarks.configs import ASKED, BEHIND_PROXY, PLAIN, Variant, path_of_route
from benchmarks.people import (
    Person,
    now_ms,
    people,
    rival_sessions,
    sealed_sessions,
    store_sessions,
)
from benchmarks.servers import Rig, Server

PATH = "/api/items?page=1"
MARK = "################"
"""The load generator replaces this by another number in each request."""
MESSAGE_BYTES = 32
FEW, MANY, LOOK_UPS = 200, 5000, 20_000
"""
People of a run, whose requests come in turn.

Of `LOOK_UPS` people each comes back later than a session is fresh (`FRESH_S`, a second), if a
server answers fewer than 20 000 requests a second.
"""
RIVAL_LOOK_UPS = 40_000
"""The rival answers more than 20 000: so many people are a look-up in each of its requests, too."""
CALLERS = 10_000
"""Addresses of clients behind a proxy."""
BROWSER = (
    "Connection: keep-alive",
    'sec-ch-ua-platform: "Windows"',
    (
        "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) "
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
    ),
    "Accept: application/json, text/plain, */*",
    'sec-ch-ua: "Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"',
    "sec-ch-ua-mobile: ?0",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Dest: empty",
    f"Referer: http://127.0.0.1/items/{MARK}",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8",
    f"X-Correlation-Id: {MARK}",
)
"""
Fields of a request that a page makes in Chrome over HTTP/1.1, with an id of the page's own.

``Host`` and ``Cookie`` come from the load generator.
"""
_UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",  # RFC 6455 section 1.3; the app knows its answer
)
_TIMEOUT_S = 10.0
_LIFETIME_S = 86_400
"""Lifetime of the DID tokens: longer than any run."""


class Request(NamedTuple):
    """The request that each connection repeats."""

    server: Server
    status: int = 200
    fields: tuple[str, ...] = ()
    is_judged: bool = True
    """Whether the CPU time of ``server`` is measured."""
    path: str = PATH
    options: tuple[str, ...] = ()
    """Options of the load generator."""
    is_loose: bool = False
    """Whether load and server run on any core, instead of a core each."""


class Callers:
    """Makes the requests of scenarios, and starts their servers. Each may raise `NotHere`."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._cookies: dict[int, str] = {}
        self._tokens: dict[int, str] = {}
        self._files: dict[str, Path] = {}
        self._people: list[Person] = []
        self._signed_in = {"ours": 0, "rival": 0}
        """How many of the people are signed in to each side."""

    def direct(self) -> Request:
        return Request(self._rig.upstream, is_judged=False)

    def relay(self) -> Request:
        return Request(self._rig.relay)

    def naive(self) -> Request:
        return Request(self._rig.naive, fields=(self._naive_cookie,))

    def session(self, variant: Variant = PLAIN) -> Request:
        server = self._rig.gateway(variant)
        return Request(server, fields=(self._cookie(server),))

    def varied(self) -> Request:
        """Make every head different, so that caches of whole heads never hit."""
        fields = (f"Referer: http://localhost/{MARK}", f"X-Trace-Id: {MARK}")
        session = self.session()
        return session._replace(path=f"/api/items/{MARK}?page=1", fields=session.fields + fields)

    def lean(self, count: int = FEW, side: str = "ours", variant: Variant = PLAIN) -> Request:
        """Make the same request for one of ``count`` people in turn, with no field but a cookie."""
        server = self._rig.rival if side == "rival" else self._rig.gateway(variant)
        return Request(server, options=self._cookies_of(count, side))

    def browser(self, count: int = FEW, side: str = "ours", variant: Variant = PLAIN) -> Request:
        """Make requests as pages in browsers do, all of them different."""
        lean = self.lean(count, side, variant)
        return lean._replace(path=f"/api/items/{MARK}?page={MARK}", fields=BROWSER)

    def answers(self, side: str = "ours") -> Request:
        """Make the answers different, too."""
        return self.browser(side=side)._replace(path=f"/vary/{MARK}?page={MARK}")

    def callers(
        self, side: str = "ours", count: int = CALLERS, variant: Variant = BEHIND_PROXY
    ) -> Request:
        """Make requests through a proxy in front, for one of ``count`` clients in turn."""
        browser = self.browser(side=side, variant=variant)
        options = (*browser.options, "-f", str(self._file(f"callers-{count}", addresses(count))))
        return browser._replace(options=options)

    def look_ups(self, side: str = "ours") -> Request:
        """Make each request need a look-up of its session in the store."""
        return self.browser(LOOK_UPS if side == "ours" else RIVAL_LOOK_UPS, side)

    def browser_post(self, side: str = "ours", size: int = 10 * 1024) -> Request:
        """Post ``size`` bytes as pages in browsers do."""
        browser = self.browser(side=side)
        own = ("Content-Type: application/json", f"Origin: {browser.server.origin}")
        return browser._replace(
            fields=(*browser.fields, *own), options=(*browser.options, "-b", str(size))
        )

    def rival_session(self) -> Request:
        """Make the same request again and again for one person, as `session` does."""
        [person] = self.sign_in_first(1, "rival")
        return Request(self._rig.rival, fields=(person.cookie_line,))

    def rival_refused(self) -> Request:
        return Request(self._rig.rival, status=401)

    def rival_tls(self) -> Request:
        """Make the same request over TLS, to an nginx that does not authenticate."""
        request = self.rival_session()._replace(server=self._rig.rival_tls)
        return _with_options(request, "-t")

    def stop(self) -> None:
        """Stop all gateways."""
        self._rig.stop_gateways()

    def bearer(self) -> Request:
        server = self._rig.gateway()
        return Request(server, fields=(f"Authorization: Bearer {self._token(server)}",))

    def refused(self) -> Request:
        return Request(self._rig.gateway(), status=401)

    def verify(self) -> Request:
        """Ask a forward-auth check as nginx does, about another path each time."""
        session = self.session(ASKED)
        fields = (
            "X-Original-Method: GET",
            f"X-Original-URI: /api/items/{MARK}?page=1",
            "X-Original-Host: 127.0.0.1",
        )
        return session._replace(path="/_gateway/verify", fields=session.fields + fields)

    def limited(self) -> Request:
        """Make requests over a limit, after the one that it allows."""
        request = self.session()._replace(path="/limited/x", status=429)
        get(request)
        return request

    def strict(self) -> Request:
        return self.session()._replace(path="/strict/x")

    def body(self, way: str, size: int, side: str) -> Request:
        """Transfer ``size`` bytes; ``way`` is get or post."""
        sides = {"direct": self.direct, "naive": self.naive, "session": self.session}
        request: Request = sides[side]()
        if way == "get":
            return request._replace(path=f"/bytes/{size}")
        # A POST with a session cookie needs the origin of its page (CSRF protection).
        origin = f"Origin: {request.server.origin}"
        return request._replace(fields=(*request.fields, origin), options=("-b", str(size)))

    def echo_direct(self) -> Request:
        return _echo(self.direct())

    def echo_relay(self) -> Request:
        return _echo(self.relay())

    def echo(self) -> Request:
        """Open a WebSocket as a browser does: with the cookie, and the origin of its page."""
        session = self.session()
        request = _echo(session, f"Origin: {session.server.origin}")
        if (status := get(request).status) != request.status:
            raise NotHere(f"the gateway answered an upgrade to websocket with {status}")
        return request

    def tls(self) -> Request:
        return _with_options(self.session(Variant("tls", has_tls=True)), "-t")

    def new(self) -> Request:
        return _with_options(self.session(), "-n")

    def tls_new(self) -> Request:
        return _with_options(self.tls(), "-n")

    def routes(self, number: int) -> Request:
        """Request the last of ``number`` routes, on another path each time."""
        request = self.session(Variant("routes", routes=number))
        return request._replace(path=f"{path_of_route(number - 1)}/{MARK}")

    def workers(self, number: int) -> Request:
        variant = Variant("workers", workers=number, is_pinned=False)
        return self.session(variant)._replace(is_loose=True)

    @cached_property
    def _naive_cookie(self) -> str:
        """Cookie of the same length as the gateway's."""
        cookie = secrets.token_urlsafe(32)
        self._rig.sign_in_naive(cookie, f"did:ethr:0x{secrets.token_hex(20)}")
        return f"Cookie: session={cookie}"

    def _cookies_of(self, count: int, side: str) -> tuple[str, ...]:
        """Options of the load generator for the cookies of ``count`` people in turn."""
        lines = (person.cookie_line for person in self.sign_in_first(count, side))
        return "-f", str(self._file(f"cookies-{count}", lines))

    def sign_in_first(self, count: int, side: str = "ours") -> list[Person]:
        """Return the first ``count`` people; their sessions at ``side`` are in the store."""
        self._people += people(count, first=len(self._people))
        if more := self._people[self._signed_in[side] : count]:
            now = now_ms()
            rivals, ours = rival_sessions(more, now), sealed_sessions(more, self._rig.prefix, now)
            store_sessions(self._rig.store, rivals if side == "rival" else ours)
            self._signed_in[side] = count
        return self._people[:count]

    def _file(self, name: str, lines: Iterable[str]) -> Path:
        """Return the file ``name`` with these lines, which is written once."""
        if name not in self._files:
            file = self._files[name] = self._rig.directory / name
            file.write_text("".join(f"{line}\n" for line in lines), "ascii")
        return self._files[name]

    def _token(self, server: Server) -> str:
        if server.port not in self._tokens:
            self._tokens[server.port] = mint(server, "grace@example.com")
        return self._tokens[server.port]

    def _cookie(self, server: Server) -> str:
        if server.port not in self._cookies:
            self._cookies[server.port] = sign_in(server, mint(server, "ada@example.com"))
        return f"Cookie: {self._cookies[server.port]}"


def addresses(count: int) -> Iterable[str]:
    """Name ``count`` addresses of clients in ``X-Forwarded-For``, which are different."""
    for number in range(count):
        high, low = divmod(number, 1 << 16)
        yield f"X-Forwarded-For: 10.{high}.{low >> 8}.{low & 255}"


def _echo(request: Request, *fields: str) -> Request:
    options = ("-w", str(MESSAGE_BYTES))
    all_fields = (*request.fields, *_UPGRADE, *fields)
    return request._replace(path="/ws", status=101, fields=all_fields, options=options)


def _with_options(request: Request, *options: str) -> Request:
    return request._replace(options=request.options + options)


def mint(server: Server, email: str) -> str:
    """Get a DID token from a gateway in development mode."""
    path = f"/_gateway/development/token?email={email}&lifetime_s={_LIFETIME_S}"
    return _post(server, path, (), 200)[0].strip()


def sign_in(server: Server, token: str) -> str:
    """Exchange ``token`` for a session; return the cookie as ``name=value``."""
    _, set_cookie = _post(server, "/_gateway/session", (f"Authorization: Bearer {token}",), 201)
    return set_cookie.partition(";")[0]


def get(request: Request) -> HTTPResponse:
    """Send one request."""
    client = _client(request.server)
    try:
        return _ask(client, "GET", request.path, request.fields)
    finally:
        client.close()


def _post(server: Server, path: str, fields: Sequence[str], expected: int) -> tuple[str, str]:
    """Send a POST; return the body of the response and its ``Set-Cookie``."""
    client = _client(server)
    try:
        answer = _ask(client, "POST", path, fields)
        body = answer.read().decode()
    finally:
        client.close()
    if answer.status != expected:
        raise CannotRun(f"POST {path} was answered {answer.status}: {body}")
    return body, answer.getheader("Set-Cookie", "")


def _client(server: Server) -> HTTPConnection:
    if not server.has_tls:
        return HTTPConnection("127.0.0.1", server.port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection("127.0.0.1", server.port, timeout=_TIMEOUT_S, context=context)


def _ask(client: HTTPConnection, method: str, path: str, fields: Sequence[str]) -> HTTPResponse:
    client.request(method, path, headers=dict(line.split(": ", 1) for line in fields))
    return client.getresponse()
