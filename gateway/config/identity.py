"""What is known of callers, and what apps are told of them."""

from typing import Annotated

from pydantic import Field

from gateway.config.assertion import AssertionSettings
from gateway.config.names import HeaderName
from gateway.config.rules import RoleSettings
from gateway.config.section import GIVEN, Section
from gateway.config.units import Duration, Flag


class IdentityHeaders(Section):
    """The header fields that tell the app whose request it is."""

    issuer: HeaderName = "X-User-Issuer"
    """The DID."""
    email: HeaderName = "X-User-Email"
    """The e-mail address, where Magic knows one."""
    public_address: HeaderName = "X-User-Public-Address"
    """The wallet's address."""
    phone: HeaderName = "X-User-Phone"
    """The phone number, where Magic knows one."""
    roles: HeaderName = "X-User-Roles"
    """The roles, sorted, with commas between them."""


class IdentitySettings(Section):
    """What is known of a caller, and what the app is told."""

    headers: IdentityHeaders = IdentityHeaders()
    """Names of the header fields that carry the identity."""
    roles: Annotated[tuple[RoleSettings, ...], GIVEN] = ()
    """Who has which role."""
    roles_from_store: Flag = False
    """Whether `roles:{issuer}` gives roles too: who can write to the store can then give any."""
    assertion: Annotated[AssertionSettings | None, GIVEN] = None
    """A signed JWT that tells the app whose request it is; none when absent."""
    metadata_ttl_s: Duration = Field(3600.0, alias="metadata_ttl")
    """How long Magic's answer about a user is believed."""
    metadata_stale_s: Duration = Field(86_400.0, alias="metadata_stale")
    """For how much longer, where Magic does not answer when it is asked again."""
    max_token_lifetime_s: Duration = Field(7 * 86_400.0, alias="max_token_lifetime")
    """The longest time from `iat` to `ext` in a DID token; Magic's own sessions last 7 days."""
    clock_skew_s: Duration = Field(300.0, alias="clock_skew")
    """By how much `iat` and `nbf` of a DID token may lie ahead of our clock."""
