"""Identities: the user or program that made a request, and how it was authenticated."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Literal, NamedTuple, Self

SessionEnd = Literal["signed_out", "replaced", "revoked", "too_many"]
"""Why a session is ended before it expires; ``too_many`` for the oldest of a user."""


class RevokedBy(Enum):
    """The name under which proofs of a kind are revoked; see `gateway.revocation.epoch`."""

    ISSUER = auto()
    CREDENTIAL = auto()
    """Under its own name: it may live longer than the epoch of its issuer is kept."""
    NOTHING = auto()


class AuthMethod(str):
    """
    The kind of credential that proved an identity, by its public name.

    A new kind makes its own; see `gateway.runtime.services.credentials.registry`.
    """

    __slots__ = ("has_scopes", "is_sent_automatically", "revoked_by")

    SESSION: ClassVar["AuthMethod"]
    DID_TOKEN: ClassVar["AuthMethod"]
    API_KEY: ClassVar["AuthMethod"]
    JWT: ClassVar["AuthMethod"]
    CLIENT_CERTIFICATE: ClassVar["AuthMethod"]

    is_sent_automatically: bool
    """Whether browsers send it by themselves, so that another site can use it (CSRF)."""
    has_scopes: bool
    """Whether credentials of the kind carry scopes."""
    revoked_by: RevokedBy

    def __new__(
        cls,
        name: str,
        *,
        is_sent_automatically: bool,
        revoked_by: RevokedBy,
        has_scopes: bool = False,
    ) -> Self:
        """
        Name a kind, and say what the stages after authentication must know of it.

        What protects against CSRF, and what revokes the kind, have no default: each kind says so.
        """
        method = super().__new__(cls, name)
        method.is_sent_automatically = is_sent_automatically
        method.has_scopes = has_scopes
        method.revoked_by = revoked_by
        return method

    def sent_automatically(self) -> Self:
        """
        Return the same kind for credentials that browsers send by themselves.

        It equals the kind, so that routes, rules and apps see no difference; CSRF checks do.
        """
        return type(self)(
            str(self),
            is_sent_automatically=True,
            revoked_by=self.revoked_by,
            has_scopes=self.has_scopes,
        )

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:
        """Keep what is known of the kind in copies (pydantic makes some)."""
        known = {name: getattr(self, name) for name in AuthMethod.__slots__}
        return (str(self),), known


AuthMethod.SESSION = AuthMethod("session", is_sent_automatically=True, revoked_by=RevokedBy.ISSUER)
AuthMethod.DID_TOKEN = AuthMethod(
    "did-token", is_sent_automatically=False, revoked_by=RevokedBy.ISSUER
)
AuthMethod.API_KEY = AuthMethod(
    "api-key", is_sent_automatically=False, revoked_by=RevokedBy.CREDENTIAL, has_scopes=True
)
AuthMethod.JWT = AuthMethod(
    "jwt", is_sent_automatically=False, revoked_by=RevokedBy.ISSUER, has_scopes=True
)
AuthMethod.CLIENT_CERTIFICATE = AuthMethod(
    "client-certificate", is_sent_automatically=True, revoked_by=RevokedBy.ISSUER
)


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet of a user, in Magic's terms: ``MAINNET``, an address, ``ETH``."""

    network: str | None = None
    public_address: str | None = None
    wallet_type: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A user of Magic: the metadata in ``user:{issuer}``."""

    issuer: str
    email: str | None = None
    """None for a user who signed in by phone, or by a provider that names no email."""
    public_address: str | None = None
    phone: str | None = None
    oauth_provider: str | None = None
    """``google``, ``apple`` and so on; None for a user who signed in by email or phone."""
    username: str | None = None
    wallets: tuple[Wallet, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated user or program, and the proof."""

    user: User
    method: AuthMethod
    token_id: str
    """``tid`` of the DID token that proved it, now or when the session was created."""
    expires_at_ms: int
    """
    Unix time in milliseconds at which the proof ends.

    `gateway.util.rfc3339.LAST_MS` for a credential that never ends: pages can show no later time.
    """
    session_key: str | None = None
    """The session's key in the store; None where no session was used."""
    proven_at_ms: int = 0
    """
    Unix time in milliseconds at which the proof was made; revocation ends all older ones.

    At 0, any revocation ends the proof; a kind whose credentials name no time takes
    ``RevokedBy.NOTHING``.
    """
    roles: tuple[str, ...] | None = ()
    """Sorted; empty before authorisation. None where the store did not answer."""
    scopes: tuple[str, ...] = ()
    """The scopes of an API key or a JWT, sorted."""
    permissions: tuple[str, ...] | None = ()
    """What its roles permit, in words that apps read, sorted; None where the roles are unknown."""

    @property
    def signed_in_as(self) -> str:
        """What names the user of a session to that user; empty for other credentials."""
        if self.session_key is None:
            return ""
        return self.user.email or self.user.phone or self.user.issuer


class Standing(NamedTuple):
    """What a user may do, as apps read it; None where the store did not answer."""

    roles: tuple[str, ...] | None = ()
    permissions: tuple[str, ...] | None = ()


INTERACTIVE_METHODS = frozenset({AuthMethod.SESSION, AuthMethod.DID_TOKEN})
"""Credentials of people. Those of programs are accepted only where a route lists them."""


class Browser(NamedTuple):
    """The browser with which a user signed in."""

    device: str = ""
    """See `gateway.sessions.user_agent`."""
    address: str = ""
    """The client's IP address; see `gateway.sessions.places`."""


class SessionSummary(NamedTuple):
    """A session as it is shown to its owner. Times are Unix times in milliseconds."""

    id: str
    session_key: str
    """The session's key in the store; never shown."""
    browser: Browser
    created_at_ms: int | None
    """None, with an unknown browser, where the sealed entry does not open."""
    seen_at_ms: int | None
    """When the session was last used; None where use is not recorded."""
    expires_at_ms: int


UNKNOWN_BROWSER = Browser()
