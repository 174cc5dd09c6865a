"""From settings to the gateway's own pages."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.assertion.token import SigningKey
from gateway.config.schema import Settings
from gateway.pages import registry
from gateway.pages.app import PagesServer
from gateway.pages.services import PageServices
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
    services = PageServices(
        settings=settings,
        clock=time.time,
        store=process.store,
        sessions=known.sessions,
        revocations=known.revocations,
        limiter=limiter,
        cookie=session_cookie(settings),
        server_keys=known.server_keys,
        signing_keys=signing_keys,
        development=process.magic.development,
        learn=known.directory.learn,
        log_out_at_magic=farewell(settings, process),
    )
    async with registry.serving(services) as server:
        yield server


def session_cookie(settings: Settings) -> Cookie:
    """The cookie that sessions are kept in."""
    is_https = settings.server.public_url.startswith("https:")
    return Cookie(settings.session.cookie, secure=is_https)
