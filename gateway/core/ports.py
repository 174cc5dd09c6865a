"""
The doors to the world, as protocols: what the journey may ask for; who answers is not its concern.

Each has one contract suite in ``tests/contract``, run over every implementation.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from gateway.core.identity import UNKNOWN_BROWSER, Browser, Identity, SessionSummary, User
from gateway.core.invalidation import InvalidationKind
from gateway.core.limit import Limit, LimitState


class Script(NamedTuple):
    """A Lua script that the store runs as one step."""

    name: str
    source: str


class Store(Protocol):
    """
    A Redis-compatible server.

    Every method raises `StoreUnavailable` when no answer came in time; nothing else of the
    client library's comes through. Keys are given without the configured prefix.
    """

    async def get(self, key: str) -> bytes | None:
        """The value, or None. Calls of one event-loop tick travel together."""

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:
        """Store ``value`` until ``expires_at_ms`` (Unix time in milliseconds, ``PXAT``)."""

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:
        """Like `set`, but only if the key is absent; whether it was."""

    async def delete(self, key: str) -> bool:
        """Remove ``key``; whether it was there."""

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> object:
        """Run a script; every key that it touches is in ``keys``."""

    async def publish(self, channel: str, message: bytes) -> None:
        """Tell whoever listens to ``channel``; it gets the prefix too."""

    async def ping(self) -> None:
        """Return if the store answers."""

    async def aclose(self) -> None:
        """Close all connections."""


class Limiter(Protocol):
    """Counts what callers use up."""

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        """
        Charge ``caller`` one request, unless that would exceed ``limit``.

        A refused request is not charged. Raises `StoreUnavailable` only under
        ``on_store_failure: closed``.
        """


class TokenVerifier(Protocol):
    """Proves whose a DID token is; or an API key, or a JWT: each kind has its own."""

    async def verify(self, token: str) -> Identity:
        """
        The identity that ``token`` proves.

        Raises `InvalidToken`, `ExpiredToken`, `RevokedToken`, `StoreUnavailable` or
        `MagicUnavailable`.
        """

    def knows(self, token: str) -> bool:
        """Whether it has proven somebody here, not long ago: then it is no guess."""


class Directory(Protocol):
    """Knows which issuers are Magic's users."""

    async def user(self, issuer: str) -> User | None:
        """
        What Magic knows of ``issuer``; None if Magic does not know it.

        Raises `MagicUnavailable` or `StoreUnavailable` where that cannot be told.
        """


class Sessions(Protocol):
    """Keeps who is signed in."""

    async def create(
        self, identity: Identity, browser: Browser = UNKNOWN_BROWSER
    ) -> tuple[str, Identity]:
        """
        Exchange what a DID token proved for a session: the cookie's value, and its identity.

        ``browser`` is for its owner to know it by. Raises `TokenAlreadyUsed` or
        `StoreUnavailable`.
        """

    async def find(self, cookie: str) -> Identity:
        """Whose session it is. Raises `SessionEnded`, `RevokedSession` or `StoreUnavailable`."""

    async def listed(self, issuer: str) -> list[SessionSummary]:
        """The sessions of ``issuer``, the newest first. Raises `StoreUnavailable`."""

    async def end(self, session_key: str, issuer: str | None = None) -> None:
        """
        Forget the session, on all gateways and in the store, where ``issuer`` has it listed.

        Raises `StoreUnavailable`.
        """

    async def unlist(self, session_key: str, issuer: str) -> None:
        """Take the session off the list of ``issuer``; it goes on. Raises `StoreUnavailable`."""

    async def end_all(self, issuer: str) -> int:
        """End all sessions of ``issuer``; how many there were. Raises `StoreUnavailable`."""


class RoleStore(Protocol):
    """Knows what roles apps have given."""

    async def roles(self, issuer: str) -> tuple[str, ...]:
        """
        The roles of ``issuer``, sorted.

        Raises `StoreUnavailable` where that cannot be told.
        """


class Revocations(Protocol):
    """
    Knows since when what an issuer has proven is void.

    `gateway.revocation.epoch.is_revoked` judges by ``Identity.proven_at_ms``. An epoch is kept for as
    long as DID tokens may live: a credential that lives longer needs an end of its own.
    """

    async def epoch_ms(self, issuer: str) -> int | None:
        """
        Unix time in milliseconds up to which all of it is; None where nothing is.

        Raises `StoreUnavailable` where that is not known.
        """

    async def revoke(self, issuer: str) -> int:
        """
        Make void all that ``issuer`` has proven by now, on all gateways; the new epoch.

        Raises `StoreUnavailable`.
        """


class Bus(Protocol):
    """Tells all gateways what their memories must forget; see `gateway.core.invalidation`."""

    async def publish(self, subject: InvalidationKind, name: str) -> None:
        """Tell all of them, this one first. A store that is down is passed over."""

    def on(self, subject: InvalidationKind, forget: Callable[[str], object]) -> Callable[[], None]:
        """Call ``forget`` with each name that is told, until what is returned is called."""

    def on_missed(self, forget_all: Callable[[], object]) -> Callable[[], None]:
        """
        Call ``forget_all`` whenever messages may have been missed, until what is returned is.

        That is so when this process begins to hear the others, for the first time or again.
        """


class Clock(Protocol):
    """Unix time in seconds; ``time.time`` is one."""

    def __call__(self) -> float:
        """Now."""
