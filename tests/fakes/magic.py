"""Magic's admin API as a real server on a loopback port, which misbehaves on request."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from enum import Enum, auto
from typing import NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.fakes.tokens import AUDIENCE

SECRET_KEY = "sk_test_0123456789ABCDEF"


class Call(NamedTuple):
    """One request, as it came over the wire."""

    method: str
    path_and_query: str
    headers: dict[str, str]


class Mood(Enum):
    """How the server answers: by the book, or in one of these ways."""

    WELL = auto()
    NULL_ISSUER = auto()
    BAD_REQUEST = auto()
    NOT_FOUND = auto()
    WRONG_ISSUER = auto()
    UNAUTHORIZED = auto()
    FORBIDDEN = auto()
    TOO_MANY = auto()
    """429 with the Retry-After that `FakeMagic.retry_after` holds."""
    UNAVAILABLE = auto()
    """503 with the same."""
    BROKEN = auto()
    """500 with a page of HTML."""
    GARBAGE = auto()
    """200 that is not JSON."""
    NOT_AN_OBJECT = auto()
    ODD_ISSUER = auto()
    NOT_UTF8 = auto()
    DEEP = auto()
    HUGE = auto()
    COMPRESSED = auto()
    REDIRECT_LOOP = auto()
    HANG_UP = auto()
    """The connection is closed without an answer."""
    HANG = auto()
    """No answer until `FakeMagic.release`."""


class FakeMagic:
    """Knows the users that it is told of; ``calls`` says what it was asked."""

    def __init__(self, secret_key: str = SECRET_KEY, client_id: str = AUDIENCE) -> None:
        self.secret_key = secret_key
        self.client_id = client_id
        self.users: dict[str, dict[str, object]] = {}
        self.calls: list[Call] = []
        self.logouts: list[object] = []
        """The bodies of the requests to end sessions, as far as they are JSON."""
        self.mood = Mood.WELL
        self.retry_after: str | None = "7"
        self.answer_by_email: object = None
        """Answer to a look-up by email, in place of the user's record."""
        self.ahead_s = 0
        """How far its clock is ahead."""
        self.asked = asyncio.Event()
        """Set as soon as a request has arrived."""
        self._released = asyncio.Event()

    def add_user(self, issuer: str, email: str | None = None, **fields: object) -> None:
        """Make ``issuer`` a user; ``fields`` go over those of Magic's record."""
        self.users[issuer] = {
            "issuer": issuer,
            "public_address": issuer.rpartition(":")[2],
            "email": email,
            "oauth_provider": None,
            "phone_number": None,
            "username": None,
            "wallets": None,
            **fields,
        }

    def release(self) -> None:
        """Let the requests that hang be answered."""
        self._released.set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/admin/client", self._answering(self._client))
        app.router.add_get("/v1/admin/user", self._answering(self._user))
        app.router.add_get("/v2/admin/user", self._answering(self._user_by_email))
        app.router.add_post("/v1/admin/user/logout", self._answering(self._logout))
        return app

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The base URL, for as long as the server runs."""
        async with TestServer(self.app()) as server:
            try:
                yield str(server.make_url("")).rstrip("/")
            finally:
                self.release()

    def _answering(
        self, well: Callable[[web.Request], web.Response]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.calls.append(Call(request.method, request.raw_path, dict(request.headers)))
            if request.method == "POST":
                self.logouts.append(await request.json())
            self.asked.set()
            if self.mood is Mood.HANG:
                await self._released.wait()
            if self.mood is Mood.HANG_UP and request.transport is not None:
                request.transport.abort()
            if request.headers.get("X-Magic-Secret-Key") != self.secret_key:
                return _error(401)
            response = self._misbehaved(request) or well(request)
            response.headers["Date"] = formatdate(time.time() + self.ahead_s, usegmt=True)
            return response

        return answer

    def _client(self, _: web.Request) -> web.Response:
        return web.json_response({"client_id": self.client_id, "app_scope": "GLOBAL"})

    def _user(self, request: web.Request) -> web.Response:
        user = self.users.get(request.query["issuer"])
        return _error(404) if user is None else web.json_response(user)

    def _user_by_email(self, request: web.Request) -> web.Response:
        assert request.query["type"] == "email"
        wanted = request.query["value"]
        if self.answer_by_email is not None:
            return web.json_response(self.answer_by_email)
        for user in self.users.values():
            if str(user["email"]).lower() == wanted:
                return web.json_response(user)
        return _error(404)

    def _logout(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "data": {}})

    def _misbehaved(self, request: web.Request) -> web.Response | None:
        """The answer of the mood; None where that is the regular one."""
        if self.mood in _STATUSES:
            return _error(_STATUSES[self.mood], self.retry_after)
        if self.mood in _BODIES:
            return web.Response(body=_BODIES[self.mood], content_type="application/json")
        match self.mood:
            case Mood.BROKEN:
                return web.Response(status=500, text="<h1>500</h1>", content_type="text/html")
            case Mood.REDIRECT_LOOP:
                return web.Response(status=302, headers={"Location": str(request.url)})
            case Mood.COMPRESSED:
                body = gzip.compress(b'{"issuer": null, "client_id": "x"}')
                return web.Response(body=body, headers={"Content-Encoding": "gzip"})
        return None


_STATUSES = {
    Mood.BAD_REQUEST: 400,
    Mood.UNAUTHORIZED: 401,
    Mood.FORBIDDEN: 403,
    Mood.NOT_FOUND: 404,
    Mood.TOO_MANY: 429,
    Mood.UNAVAILABLE: 503,
}

_BODIES = {
    Mood.NULL_ISSUER: b'{"issuer": null, "email": "a@example.com"}',
    Mood.WRONG_ISSUER: b'{"issuer": "did:ethr:0x%b", "email": "boss@example.com"}' % (b"0" * 40),
    Mood.GARBAGE: b'{"issuer": ',
    Mood.NOT_AN_OBJECT: b'["issuer"]',
    Mood.ODD_ISSUER: b'{"issuer": 5, "client_id": 5}',
    Mood.NOT_UTF8: b'{"issuer": "\xff"}',
    Mood.DEEP: b"[" * 60_000,
    Mood.HUGE: b'{"issuer": "%b"}' % (b"x" * 1_000_000),
}


def _error(status: int, retry_after: str | None = None) -> web.Response:
    has_retry_after = retry_after is not None and status in (429, 503)
    fields = {"Retry-After": str(retry_after)} if has_retry_after else {}
    body = {"status": "failed", "message": "no", "data": {}}
    return web.json_response(body, status=status, headers=fields)
