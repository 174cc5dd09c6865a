"""The throttle before the login: who may try, and the proof at the exchange that they did."""

import asyncio
from ipaddress import ip_address
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from gateway.authn.did_token.attachment import is_attached
from gateway.authz.csrf import refuse_foreign_page
from gateway.config.compile import LoginLimits
from gateway.config.schema import ServerSettings
from gateway.core.errors import (
    BadRequest,
    BodyTooLarge,
    NonceRefused,
    NonceRequired,
    RateLimited,
    RequestTimeout,
)
from gateway.core.identity import Identity
from gateway.core.limit import Limit
from gateway.core.ports import Limiter
from gateway.login_attempts.contact import ContactHasher, attempt
from gateway.login_attempts.redis import LIFETIME_S, RedisAttempts
from gateway.pages.caller import address, caller
from gateway.routing.client_address import client_at as caller_at

MAX_BODY_BYTES: Final = 4096
BODY_TIMEOUT_S: Final = 5.0
"""For the whole of it: meanwhile a connection to the pages is taken, and everybody shares those."""


class AttemptPages:
    """``POST /login/attempt``, and what the exchange asks of whoever has come by it."""

    def __init__(
        self,
        attempts: RedisAttempts,
        hasher: ContactHasher,
        limiter: Limiter,
        limits: LoginLimits,
        server: ServerSettings,
        *,
        is_required: bool,
    ) -> None:
        self._attempts = attempts
        self._hasher = hasher
        self._limiter = limiter
        self._limits = limits
        self._public_origin = server.public_url
        self._is_required = is_required
        is_https = server.public_url.startswith("https:")
        self._cookie_name = "__Secure-login-attempt" if is_https else "login-attempt"
        self._attributes = (
            f"; Path={server.prefix}; Max-Age={LIFETIME_S}; HttpOnly; SameSite=Strict"
            + ("; Secure" if is_https else "")
        )

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The page under ``prefix``."""
        return [web.post(f"{prefix}/login/attempt", self.begin)]

    async def begin(self, request: web.Request) -> web.Response:
        """
        A nonce for whoever may try; 429 for those who tried too often.

        Both counts are charged before anything that costs, and whether Magic knows the address is
        not even asked. That of the client's address comes before the body, which it may take its
        time to send. A page of another site is refused before it could use up a visitor's tries.
        """
        refuse_foreign_page(request.headers, self._public_origin)
        identity = caller(request)
        user = None if identity is None else identity.user
        await self._spend(self._limits.ip, _limit_key(address(request)))
        contact, counted_as = attempt(await _document(request), user)
        await self._spend(self._limits.contact, self._hasher.limit_key(counted_as))
        nonce, browser = await self._attempts.begin(contact, self._browser(request))
        body = orjson.dumps({"nonce": nonce, "expires_in_s": LIFETIME_S})
        response = web.Response(body=body, content_type="application/json")
        cookie = f"{self._cookie_name}={browser}{self._attributes}"
        response.headers.add(hdrs.SET_COOKIE, cookie)
        return response

    async def settle(self, request: web.Request, proven: Identity) -> None:
        """
        Judge the nonce of an exchange, if there is one or must be one.

        The token must be bound to it, so that a token that was made without it, or for another
        page, opens no session. Raises `NonceRequired`, `NonceRefused`, `BadRequest` or
        `StoreUnavailable`.
        """
        nonce = await _nonce(request)
        if nonce is None:
            if self._is_required:
                raise NonceRequired("no nonce")
            return
        await self._attempts.take(nonce, self._browser(request), proven.user)
        token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")[2].strip()
        if not is_attached(token, proven.user.issuer, nonce):
            raise NonceRefused("the token is not bound to it")

    async def _spend(self, limit: Limit | None, caller: str) -> None:
        if limit is None:
            return
        state = await self._limiter.spend(limit, caller)
        if not state.allowed:
            raise RateLimited(state)

    def _browser(self, request: web.Request) -> str:
        return request.cookies.get(self._cookie_name, "")


def _limit_key(address: str) -> str:
    try:
        return caller_at(ip_address(address)).limit_key
    except ValueError:
        return address  # a unix socket has none


async def _nonce(request: web.Request) -> str | None:
    """What the body of an exchange names; None where there is no body, or it names none."""
    if not request.can_read_body:
        return None
    document = await _document(request)
    nonce = document.get("nonce") if isinstance(document, dict) else None
    if nonce is not None and not isinstance(nonce, str):
        raise BadRequest("nonce is not text")
    return nonce


async def _document(request: web.Request) -> Any:
    """
    The JSON in the body, which must say that it is JSON.

    No form can say so: a page of another site would have to ask first.
    """
    if request.content_type != "application/json":
        raise BadRequest("expected application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.content.iter_any():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise BodyTooLarge("more than an attempt takes")
    except TimeoutError:
        raise RequestTimeout("the body of an attempt") from None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest("not JSON") from None
