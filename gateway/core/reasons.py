"""
Reasons of refusals: closed lists of words, shared by logs, metrics, responses and documentation.

The class of a `Refusal` decides the code of the response; its reason says more. Only a
`ForbiddenReason` is sent to clients, too; none of them reveals which values a rule names. Lists for
one kind of credential stand beside the code that reads it. docs/reasons.md shows all of them.
"""

from collections.abc import Mapping
from typing import Final

from gateway.core.word import WordWithMeaning


class Reason(WordWithMeaning):
    """A word and its meaning; each sub-class is one list, and its docstring names the code."""

    __hash__ = str.__hash__  # that of `Enum` is written in Python


class ForbiddenReason(Reason):
    """`forbidden`; told to the client"""

    DENIED = "denied", "A `deny` rule of the route matches."
    NOT_LISTED = "not_listed", "No `allow` rule names the issuer, email, domain, address or wallet."
    ROLE_MISSING = "role_missing", "The caller has none of the roles that an `allow` rule requires."
    PERMISSION_MISSING = (
        "permission_missing",
        "The caller's roles give none of the permissions that an `allow` rule requires.",
    )
    SCOPE_MISSING = (
        "scope_missing",
        "The credential has none of the scopes that an `allow` rule requires.",
    )
    CREDENTIAL_NOT_ALLOWED = (
        "credential_not_allowed",
        "Authenticated by a kind of credential that is not in `auth_methods`.",
    )
    NETWORK_NOT_ALLOWED = (
        "network_not_allowed",
        "The client's address is in none of the `networks`.",
    )
    METHOD_NOT_ALLOWED = (
        "method_not_allowed",
        "The method is in none of the `methods` of an `allow` rule.",
    )


class RolesReason(Reason):
    """`store_unavailable`, on a route whose rules require roles or permissions"""

    UNKNOWN = "roles_unknown", "The store did not answer which roles the caller has."
    UNREADABLE = "roles_unreadable", "`roles:{issuer}` does not hold names of roles."


class UnauthenticatedReason(Reason):
    """`unauthenticated`, or the redirect in its place for browsers that navigate"""

    NO_CREDENTIAL = "no_credential", "The route requires authentication."
    TO_BE_JUDGED = (
        "sign_in_to_be_judged",
        "Signing in is optional here, but the `allow` rules need an authenticated caller.",
    )


class CrossSiteReason(Reason):
    """`cross_site`"""

    ORIGIN_MISSING = (
        "origin_missing",
        "A state-changing request with a cookie, without `Origin` and `Sec-Fetch-Site`.",
    )
    ORIGIN_FOREIGN = "origin_foreign", "`Origin` is not `server.public_url`."
    SITE_FOREIGN = "site_foreign", "`Sec-Fetch-Site` is not `same-origin`."
    UPGRADE_FOREIGN = (
        "upgrade_foreign",
        "A WebSocket with a cookie, whose `Origin` is not `server.public_url`.",
    )
    PREFLIGHT_FOREIGN = (
        "preflight_foreign",
        "A CORS preflight from an origin that the route does not list.",
    )


class SessionEndReason(Reason):
    """`session_ended`"""

    COOKIE_MALFORMED = (
        "session_cookie_malformed",
        "The cookie's value does not have the form of a session cookie.",
    )
    UNKNOWN = "session_unknown", "The store has no such session: it ended, or never existed."
    EXPIRED = "session_expired", "The session has expired."
    SEAL_BROKEN = (
        "session_seal_broken",
        "No key in `session.keys` decrypts the record, or it was altered.",
    )
    UNREADABLE = "session_unreadable", "The record is of another version."


class CredentialReason(Reason):
    """`ambiguous_credentials`"""

    SEVERAL_AUTHORIZATIONS = "several_authorizations", "More than one `Authorization` field."
    SEVERAL_API_KEYS = "several_api_keys", "More than one API key."
    SEVERAL_COOKIES = "several_session_cookies", "Session cookies with different values."
    SEVERAL_IN_SOURCE = (
        "several_in_source",
        "Different values in a cookie or field that `from` of a JWT issuer names.",
    )


class TokenReason(Reason):
    """`invalid_token`, for any kind of token"""

    MALFORMED = "bearer_malformed", "`Bearer` without a token68 (RFC 9110 section 11.2)."
    UNKNOWN_ISSUER = "issuer_unknown", "The token is valid, but Magic does not know the issuer."
    REFUSED_BEFORE = "signature_refused_before", "Its signature failed verification before."


class BusyReason(Reason):
    """`upstream_busy`"""

    CLIENT_SHARE = (
        "client_share",
        "Few connections to the server are free, and the client's address holds its share of them.",
    )


REASONS: Final[Mapping[str, Reason]] = {
    str(reason): reason for kind in Reason.__subclasses__() for reason in kind
}
"""The lists above, by the word."""
