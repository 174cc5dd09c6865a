"""Section ``identity``: names of header fields, roles and times."""

from collections.abc import Callable

import pytest

from gateway.config.identity import IdentityHeaders, IdentitySettings
from gateway.config.schema import Settings
from gateway.headers.request import DEFAULT_IDENTITY_NAMES
from gateway.sessions.cache import MAX_SESSIONS

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]


def test_defaults(read: Read) -> None:
    """Identities are cached for an hour, and tokens may live as long as Magic's sessions."""
    identity = read("").identity
    assert identity == IdentitySettings()
    assert (identity.metadata_ttl_s, identity.metadata_stale_s) == (3600, 86_400)
    assert identity.max_token_lifetime_s == 7 * 86_400
    assert identity.clock_skew_s == 300
    assert identity.cache == MAX_SESSIONS == 30_000
    assert (identity.roles, identity.roles_from_store, identity.assertion) == ((), False, None)


def test_default_names_are_those_that_are_always_dropped() -> None:
    """A client cannot send a default name, even where the config chooses other names."""
    assert {*IdentityHeaders().model_dump().values()} <= {*DEFAULT_IDENTITY_NAMES}


def test_one_name_can_be_replaced(read: Read) -> None:
    """The other names keep their defaults."""
    headers = read("identity: {headers: {email: Remote-Email}}").identity.headers
    assert headers == IdentityHeaders(email="Remote-Email")
    assert headers.issuer == "X-User-Issuer"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("headers: {issuer: Cookie}", "identity.headers.issuer: this header has another meaning"),
        ("headers: {user: X-A}", "identity.headers.user: unknown key"),
        ("headers: {phone: X_Phone}", "identity.headers.phone: expected a header name"),
        ("metadata_ttl: 0", "identity.metadata_ttl: expected a duration"),
        ("clock_skew: -1s", "identity.clock_skew: expected a duration"),
        ("cache: 0", "identity.cache: expected a whole number from 1"),
        ("roles_from_store: maybe", "identity.roles_from_store: expected true or false"),
        ("roles: ", "identity.roles: expected a value; leave the key out for the default"),
    ],
)
def test_invalid_values(complaints: Complain, text: str, problem: str) -> None:
    """Each is reported with its key."""
    (found,) = complaints(f"identity: {{{text}}}")
    assert found.startswith(f"gateway.yaml:1: {problem}")
