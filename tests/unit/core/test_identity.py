"""Identities and kinds of credentials."""

from copy import copy, deepcopy

import pytest

from gateway.config.credentials import AUTH_METHODS
from gateway.core.identity import INTERACTIVE_METHODS, UNKNOWN_BROWSER, AuthMethod, Identity, User


def test_programs_are_accepted_only_where_a_route_lists_them() -> None:
    """API keys, JWTs and certificates are not among the kinds that routes accept by default."""
    assert {AuthMethod.SESSION, AuthMethod.DID_TOKEN} == INTERACTIVE_METHODS


def test_an_identity_has_no_rights_of_its_own() -> None:
    """Neither roles nor scopes, and no time of proof later than any revocation."""
    identity = Identity(User("did:ethr:0x1"), AuthMethod.DID_TOKEN, "tid", 1)
    assert ((), (), 0, None) == (
        identity.roles,
        identity.scopes,
        identity.proven_at_ms,
        identity.session_key,
    )


def test_kinds_of_credentials_have_stable_names() -> None:
    """They stand in configs, logs, metrics and header fields."""
    assert {"session", "did-token", "api-key", "jwt", "client-certificate"} == set(AUTH_METHODS)


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_a_copy_of_a_kind_keeps_what_is_known_of_it(method: AuthMethod) -> None:
    """A copy that forgot that browsers send the credential would switch off CSRF protection."""
    for copied in (copy(method), deepcopy(method)):
        assert method == copied
        assert (method.is_sent_automatically, method.has_scopes, method.revoked_by) == (
            copied.is_sent_automatically,
            copied.has_scopes,
            copied.revoked_by,
        )


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_a_kind_that_browsers_send_is_the_same_kind(method: AuthMethod) -> None:
    """Only CSRF checks tell them apart, also in a copy."""
    ambient = copy(method.sent_automatically())
    assert (method, hash(method)) == (ambient, hash(ambient))
    assert ambient.is_sent_automatically
    assert (method.has_scopes, method.revoked_by) == (ambient.has_scopes, ambient.revoked_by)


def test_an_unknown_browser_names_neither_device_nor_address() -> None:
    """It is shown for a session with an entry that does not open."""
    assert ("", "") == UNKNOWN_BROWSER


@pytest.mark.parametrize(
    ("user", "session_key", "expected"),
    [
        (User("did:ethr:0x1", "ada@example.com", phone="+1"), "key", "ada@example.com"),
        (User("did:ethr:0x1", phone="+14155550123"), "key", "+14155550123"),
        (User("did:ethr:0x1"), "key", "did:ethr:0x1"),
        (User("did:ethr:0x1", "ada@example.com"), None, ""),
    ],
)
def test_a_session_alone_has_a_name(user: User, session_key: str | None, expected: str) -> None:
    """A page may show it to its caller; programs are shown none."""
    identity = Identity(user, AuthMethod.SESSION, "tid", 1, session_key)
    assert expected == identity.signed_in_as
