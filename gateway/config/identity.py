"""Section ``identity``: header fields for apps, roles, metadata and limits of DID tokens."""

from typing import Annotated

from pydantic import Field

from gateway.config.assertion import AssertionSettings
from gateway.config.matchers import Permission, Role
from gateway.config.names import HeaderName
from gateway.config.rules import RoleSettings
from gateway.config.section import GIVEN, Section
from gateway.config.units import CountText, Duration, Flag


class IdentityHeaders(Section):
    """
    Names of the header fields that tell apps the caller's identity. Fields of these names, or of
    names like them, are dropped from what clients send.
    """

    issuer: HeaderName = "X-User-Issuer"
    """Issuer: the DID of a user, or the name of a program."""
    email: HeaderName = "X-User-Email"
    """Email address, if Magic knows one."""
    public_address: HeaderName = "X-User-Public-Address"
    """Public address of the user's wallet."""
    phone: HeaderName = "X-User-Phone"
    """Phone number, if Magic knows one."""
    roles: HeaderName = "X-User-Roles"
    """Roles, sorted and separated by commas."""
    permissions: HeaderName = "X-User-Permissions"
    """What the roles permit, sorted and separated by commas."""


class IdentitySettings(Section):
    """Identity of callers, and the fields that tell it to apps."""

    headers: IdentityHeaders = IdentityHeaders()
    """Names of the header fields that tell apps the caller's identity."""
    roles: Annotated[tuple[RoleSettings, ...], GIVEN] = ()
    """Roles, each with the rule for the callers that have it."""
    permissions: Annotated[dict[Role, frozenset[Permission]], GIVEN] = Field(default_factory=dict)
    """What each role permits, in words that apps and `allow` rules read."""
    roles_from_store: Flag = False
    """
    Whether apps assign roles too, in Redis at `roles:{issuer}`. Off by default: every program that
    writes to Redis could then assign any role.
    """
    assertion: Annotated[AssertionSettings | None, GIVEN] = None
    """Signed JWT that proves the caller's identity to the app. None when absent."""
    metadata_ttl_s: Duration = Field(3600.0, alias="metadata_ttl")
    """Time for which Magic's response about a user is cached."""
    metadata_stale_s: Duration = Field(86_400.0, alias="metadata_stale")
    """Further time for which the cached response is used while Magic does not respond."""
    max_token_lifetime_s: Duration = Field(7 * 86_400.0, alias="max_token_lifetime")
    """
    Maximum time from `iat` to `ext` of a DID token. The default is the length of Magic's own
    sessions.
    """
    cache: CountText = 30_000
    """
    Number of sessions, of DID tokens and of users that each worker caches: those used last. A
    person with a session takes some 2.5 KiB.
    """
    clock_skew_s: Duration = Field(300.0, alias="clock_skew")
    """Tolerance for `iat` and `nbf` of a DID token in the future, as clocks differ."""
