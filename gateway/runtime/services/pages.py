"""Build the gateway's own pages and the server that answers for them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.assertion.token import SigningKey
from gateway.config.schema import Settings
from gateway.core.ports import Limiter
from gateway.pages import registry
from gateway.pages.app import PagesServer
from gateway.pages.error_pages import ErrorPages
from gateway.pages.services import PageServices
from gateway.ratelimit.lists import LimitLists
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.hooks import HookServices
from gateway.runtime.services.identity import IdentityServices
from gateway.runtime.services.magic import on_sign_out
from gateway.sessions.cookie import Cookie


@asynccontextmanager
async def pages_server(
    settings: Settings,
    process: ProcessServices,
    identity: IdentityServices,
    limiter: Limiter,
    lists: LimitLists,
    signing_keys: tuple[SigningKey, ...],
    hooks: HookServices,
    error_pages: ErrorPages,
) -> AsyncIterator[PagesServer]:
    """Serve all pages until the context ends."""
    services = PageServices(
        settings=settings,
        clock=time.time,
        store=process.store,
        sessions=identity.sessions,
        revocations=identity.revocations,
        limiter=limiter,
        lists=lists,
        cookie=session_cookie(settings),
        server_keys=identity.server_keys,
        signing_keys=signing_keys,
        development=process.magic.development,
        learn=identity.directory.learn,
        log_out_at_magic=on_sign_out(settings, process),
        events=hooks.recorder,
        first_login_settled=hooks.first_logins.settled,
        error_pages=error_pages,
        audit=process.trail,
    )
    async with registry.serving(services) as server:
        yield server


def session_cookie(settings: Settings) -> Cookie:
    """Build the cookie that holds a session's secret."""
    is_https = settings.server.public_url.startswith("https:")
    return Cookie(settings.session.cookie, secure=is_https)
