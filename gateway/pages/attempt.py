"""The login throttle: attempts are counted before Magic is asked, and proven at the exchange."""

from ipaddress import ip_address
from typing import Final, Self

import orjson
from aiohttp import hdrs, web

from gateway.authn.did_token.attachment import is_attached
from gateway.config.compile import LoginLimits, login_limits
from gateway.config.server import ServerSettings
from gateway.core.errors import (
    PROBLEM_TYPES,
    BadRequest,
    NonceRefused,
    NonceRequired,
    RateLimited,
)
from gateway.core.event import EventType
from gateway.core.event_ports import Events
from gateway.core.identity import Identity, User
from gateway.core.limit import Limit
from gateway.core.ports import Limiter
from gateway.core.request import Client
from gateway.login_attempts.contact import EMAIL, ContactHasher, read_attempt
from gateway.login_attempts.redis import LIFETIME_S, RedisAttempts
from gateway.pages.caller import address, caller
from gateway.pages.json_body import json_body
from gateway.pages.own_origin import OwnOrigin
from gateway.pages.services import PageGroup, PageServices
from gateway.ratelimit.lists import LimitLists
from gateway.routing.client_address import UNIX_PEER, client_at

_ROUTE: Final = "gateway-attempt"
_CODE: Final = PROBLEM_TYPES[RateLimited].code


class AttemptPages(PageGroup):
    """``POST /login/attempt``, and the check of its nonce at the exchange."""

    def __init__(
        self,
        attempts: RedisAttempts,
        hasher: ContactHasher,
        limiter: Limiter,
        lists: LimitLists,
        limits: LoginLimits,
        server: ServerSettings,
        own_origin: OwnOrigin,
        events: Events,
        *,
        is_required: bool,
    ) -> None:
        self._attempts = attempts
        self._hasher = hasher
        self._limiter = limiter
        self._lists = lists
        self._limits = limits
        self._own_origin = own_origin
        self._events = events
        self._is_required = is_required
        is_https = server.public_url.startswith("https:")
        self._cookie_name = "__Secure-login-attempt" if is_https else "login-attempt"
        self._attributes = (
            f"; Path={server.prefix}; Max-Age={LIFETIME_S}; HttpOnly; SameSite=Strict"
            + ("; Secure" if is_https else "")
        )

    @classmethod
    def of(cls, services: PageServices) -> Self:
        hasher = ContactHasher(services.server_keys)
        return cls(
            RedisAttempts(services.store, hasher),
            hasher,
            services.limiter,
            services.lists,
            login_limits(services.settings),
            services.settings.server,
            OwnOrigin(services.settings),
            services.events,
            is_required=services.settings.session.require_attempt,
        )

    async def begin(self, request: web.Request) -> web.Response:
        """
        Issue a nonce for an attempt to sign in; 429 after too many attempts.

        Both limits are charged before any work, and Magic is not asked whether it knows the contact
        (enumeration). The limit by address is charged before the body is read, since a client may
        send it slowly. CSRF: a page of another site is refused before it uses up a visitor's tries.
        Clients and email addresses on the deny list of the limit are refused with 403; those on its
        allow list are not counted.
        """
        self._own_origin.refuse_foreign_page(request)
        identity = caller(request)
        user = None if identity is None else identity.user
        client = _client(address(request))
        is_counted = self._counts(client, None)
        if is_counted:
            await self._spend(self._limits.ip, client.limit_key, client)
        contact, counted_as = read_attempt(await json_body(request), user)
        email = contact.value if contact.kind == EMAIL else None
        if self._counts(client, User("", email)) and is_counted:
            await self._spend(self._limits.contact, self._hasher.limit_key(counted_as), client)
        nonce, browser = await self._attempts.begin(contact, self._browser(request))
        body = orjson.dumps({"nonce": nonce, "expires_in_s": LIFETIME_S})
        response = web.Response(body=body, content_type="application/json")
        cookie = f"{self._cookie_name}={browser}{self._attributes}"
        response.headers.add(hdrs.SET_COOKIE, cookie)
        return response

    async def settle(self, request: web.Request, identity: Identity) -> None:
        """
        Check the nonce of an exchange, which is required if `session.require_attempt` is set.

        The token must be bound to the nonce, so that a token minted without it, or for another
        page, opens no session. Raises `NonceRequired`, `NonceRefused`, `BadRequest` or
        `StoreUnavailable`.
        """
        nonce = await _nonce(request)
        if nonce is None:
            if self._is_required:
                raise NonceRequired("no nonce")
            return
        await self._attempts.take(nonce, self._browser(request), identity.user)
        token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")[2].strip()
        if not is_attached(token, identity.user.issuer, nonce):
            raise NonceRefused("the token is not bound to the nonce")

    def _counts(self, client: Client, user: User | None) -> bool:
        """Return whether the limit counts an attempt. Raises `DeniedByLimit`."""
        limits = tuple(filter(None, self._limits))[:1]  # both have the lists of one name
        if user is None:
            self._lists.refuse_address(limits, client.address)
        else:
            self._lists.refuse_user(limits, user)
        return bool(self._lists.counted(limits, client.address, user))

    async def _spend(self, limit: Limit | None, caller: str, client: Client) -> None:
        if limit is None:
            return
        state = await self._limiter.spend(limit, caller)
        if not state.allowed:
            refusal = RateLimited(state)
            told = {"reason": refusal.reason, "route": _ROUTE, "ip": client.text, "code": _CODE}
            self._events.sample(EventType.LIMIT_EXCEEDED, client.text or "unknown", told)
            raise refusal

    def _browser(self, request: web.Request) -> str:
        return request.cookies.get(self._cookie_name, "")


def _client(address: str) -> Client:
    """Return the client at ``address``; a unix socket has none."""
    try:
        return client_at(ip_address(address))
    except ValueError:
        return client_at(UNIX_PEER)


async def _nonce(request: web.Request) -> str | None:
    """Read the nonce in the body of an exchange; None without a body or a nonce."""
    if not request.can_read_body:
        return None
    document = await json_body(request)
    nonce = document.get("nonce") if isinstance(document, dict) else None
    if nonce is not None and not isinstance(nonce, str):
        raise BadRequest("nonce is not text")
    return nonce
