"""From settings to the gateway's own pages."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.assertion.token import SigningKey
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.login_attempts.contact import ContactHasher
from gateway.login_attempts.redis import RedisAttempts
from gateway.pages.app import PagesServer, make_app
from gateway.pages.attempt import AttemptPages
from gateway.pages.development import DevelopmentPages
from gateway.pages.keys import KeyPages
from gateway.pages.login import LoginPages
from gateway.pages.session import SessionPages
from gateway.pages.sessions import OwnSessionsPages
from gateway.ratelimit.redis import RedisLimiter
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.identity import IdentityServices, farewell
from gateway.sessions.cookie import Cookie


@asynccontextmanager
async def serving(
    settings: Settings,
    process: ProcessServices,
    known: IdentityServices,
    limiter: RedisLimiter,
    signing_keys: tuple[SigningKey, ...],
) -> AsyncIterator[PagesServer]:
    """A server of all pages, until the context ends. Raises `StartError` for a faulty logo."""
    prefix, public_url = settings.server.prefix, settings.server.public_url
    cookie = session_cookie(settings)
    attempts = _attempts(settings, process, limiter, known.server_keys)
    own = SessionPages(
        known.sessions,
        cookie,
        attempts,
        public_url,
        time.time,
        known.revocations,
        farewell(settings, process),
    )
    routes = own.routes(prefix)
    routes += attempts.routes(prefix)
    routes += OwnSessionsPages(known.sessions, cookie, public_url, time.time).routes(prefix)
    if process.magic.development is not None:
        development = DevelopmentPages(
            process.magic.development, known.directory.learn, public_url, time.time
        )
        routes += development.routes(prefix)
    routes += LoginPages(settings, compiled.return_to(settings).only).routes(prefix)
    if signing_keys:
        routes += KeyPages(signing_keys).routes(prefix)
    server = PagesServer(make_app(routes))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await own.aclose()


def _attempts(
    settings: Settings, process: ProcessServices, limiter: RedisLimiter, keys: tuple[bytes, ...]
) -> AttemptPages:
    hasher = ContactHasher(keys)
    return AttemptPages(
        RedisAttempts(process.store, hasher),
        hasher,
        limiter,
        compiled.login_limits(settings),
        settings.server,
        is_required=settings.session.require_attempt,
    )


def session_cookie(settings: Settings) -> Cookie:
    """The cookie that sessions are kept in."""
    is_https = settings.server.public_url.startswith("https:")
    return Cookie(settings.session.cookie, secure=is_https)
