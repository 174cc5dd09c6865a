"""What a page is made from, and what the list of pages expects of it."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

from gateway.assertion.token import SigningKey
from gateway.audit.switch import NO_AUDIT
from gateway.config.schema import Settings
from gateway.core.event_ports import Events
from gateway.core.identity import User
from gateway.core.ports import AuditTrail, Clock, Limiter, Revocations, Sessions, Store
from gateway.pages.error_pages import ErrorPages
from gateway.ratelimit.lists import LimitLists
from gateway.sessions.cookie import Cookie
from gateway.users.development import DevelopmentMagic

LearnUser = Callable[[User], Awaitable[None]]
"""Tells other processes of a user minted here, which they could not look up."""


class PageServices(NamedTuple):
    """The services of one config that pages use."""

    settings: Settings
    clock: Clock
    store: Store
    sessions: Sessions
    revocations: Revocations
    limiter: Limiter
    lists: LimitLists
    cookie: Cookie
    server_keys: tuple[bytes, ...]
    """The first key makes seals and hashes; all are recognised."""
    signing_keys: tuple[SigningKey, ...]
    """Keys of assertions; empty where assertions are off."""
    development: DevelopmentMagic | None
    """None in live mode."""
    learn: LearnUser
    log_out_at_magic: Callable[[str], object]
    """Queues a logout at Magic, by issuer; returns at once."""
    events: Events
    first_login_settled: Callable[[str], Awaitable[bool]]
    """
    Waits until webhooks have taken the first sign-in of an issuer, where the config asks for that;
    False where they have not in time.
    """
    error_pages: ErrorPages
    """Pages of refusals; all pages share its look."""
    audit: AuditTrail = NO_AUDIT

    @property
    def public_origin(self) -> str:
        """``server.public_url``: what browsers call the origin of the pages."""
        return self.settings.server.public_url


class PageGroup:
    """Pages that share state: a line of `gateway.pages.registry.OWN_PAGES` names one per page."""

    @classmethod
    def of(cls, services: PageServices) -> Self | None:
        """
        Build the pages of one config; None where this config has none of them.

        Raises `StartError` where a file of the config cannot be used.
        """
        raise NotImplementedError

    async def aclose(self) -> None:
        """Finish what the pages have begun in the background."""
