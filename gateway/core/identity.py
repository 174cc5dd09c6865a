"""Identities: who made a request, and how that was proven."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class AuthMethod(StrEnum):
    """The kind of credential that proved an identity."""

    SESSION = "session"
    DID_TOKEN = "did-token"
    API_KEY = "api-key"
    JWT = "jwt"
    CLIENT_CERTIFICATE = "client-certificate"


@dataclass(frozen=True, slots=True)
class Wallet:
    """One of a user's wallets, in Magic's words: ``MAINNET``, an address, ``ETH``."""

    network: str | None = None
    public_address: str | None = None
    wallet_type: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """What Magic knows of an issuer: the metadata in ``user:{issuer}``."""

    issuer: str
    email: str | None = None
    """None for who signed in by phone, or by a provider that tells none."""
    public_address: str | None = None
    phone: str | None = None
    oauth_provider: str | None = None
    """``google``, ``apple`` and so on; None for who signed in by email or phone."""
    username: str | None = None
    wallets: tuple[Wallet, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom Magic has proven, and how we came to know."""

    user: User
    method: AuthMethod
    token_id: str
    """``tid`` of the DID token that proved it, now or when the session was made."""
    expires_at_ms: int
    """Unix time in milliseconds at which the proof ends."""
    session_key: str | None = None
    """The session's key in the store; None where no session was used."""
    proven_at_ms: int = 0
    """Unix time in milliseconds at which the proof was made: revocation ends all that is older."""
    roles: tuple[str, ...] | None = ()
    """As authorisation found them, sorted; empty before it. None: the store did not say."""
    scopes: tuple[str, ...] = ()
    """What a program's credential is good for, sorted."""


INTERACTIVE_METHODS = frozenset({AuthMethod.SESSION, AuthMethod.DID_TOKEN})
"""How people prove who they are; programs get in only where a route says so."""


class Browser(NamedTuple):
    """Where somebody signed in."""

    device: str = ""
    """See `gateway.sessions.user_agent`."""
    address: str = ""
    """The client's IP address: where in the world that is, the gateway does not know."""


class SessionSummary(NamedTuple):
    """A session as its owner is shown it. Times are Unix times in milliseconds."""

    id: str
    session_key: str
    """Not to be shown."""
    browser: Browser
    created_at_ms: int | None
    """None, and no browser: what was sealed does not open."""
    seen_at_ms: int | None
    """None where that is not written down."""
    expires_at_ms: int


UNKNOWN_BROWSER = Browser()
