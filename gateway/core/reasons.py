"""
Why a request was refused: closed lists of words, shared by logs, metrics, answers and documents.

A `Refusal`'s class decides the answer's code; its reason says more. Those of `ForbiddenReason` are told to
clients too, and none of them says whom a rule names. Lists about one kind of credential stand
beside what reads it. docs/reasons.md shows all of them.
"""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A word, and what it means; each subclass is one list, and its docstring says what about."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member


class ForbiddenReason(Reason):
    """`forbidden`; told to the client"""

    DENIED = "denied", "A `deny` of the route holds."
    NOT_LISTED = "not_listed", "No `allow` names the issuer, email, domain, address or wallet."
    ROLE_MISSING = "role_missing", "None of the roles that an `allow` asks for."
    SCOPE_MISSING = (
        "scope_missing",
        "The credential has none of the scopes that an `allow` asks for.",
    )
    CREDENTIAL_NOT_ALLOWED = (
        "credential_not_allowed",
        "Proven, but by a kind of credential that is not in `auth_methods`.",
    )
    NETWORK_NOT_ALLOWED = (
        "network_not_allowed",
        "The client's address is in none of the `networks`.",
    )
    METHOD_NOT_ALLOWED = (
        "method_not_allowed",
        "The method is in none of the `methods` of an `allow`.",
    )


class RolesReason(Reason):
    """`store_unavailable`, on a route whose rules ask for roles"""

    UNKNOWN = "roles_unknown", "The store did not say which roles the caller has."
    UNREADABLE = "roles_unreadable", "`roles:{issuer}` holds something else than names of roles."


class UnauthenticatedReason(Reason):
    """`unauthenticated`, or what takes its place for people who navigate"""

    NO_CREDENTIAL = "no_credential", "The route wants somebody who is proven."
    TO_BE_JUDGED = (
        "sign_in_to_be_judged",
        "Signing in is optional here, but nobody else can be judged by `allow`.",
    )


class CrossSiteReason(Reason):
    """`cross_site`"""

    ORIGIN_MISSING = (
        "origin_missing",
        "Something is to be changed with a cookie, without `Origin` and `Sec-Fetch-Site`.",
    )
    ORIGIN_FOREIGN = "origin_foreign", "`Origin` is another site than `server.public_url`."
    SITE_FOREIGN = "site_foreign", "`Sec-Fetch-Site` is not `same-origin`."
    UPGRADE_FOREIGN = (
        "upgrade_foreign",
        "A WebSocket with a cookie, and `Origin` is not `server.public_url`.",
    )

    PREFLIGHT_FOREIGN = (
        "preflight_foreign",
        "A CORS preflight of an origin that the route does not list.",
    )


class SessionEndReason(Reason):
    """`session_ended`"""

    COOKIE_MALFORMED = "session_cookie_malformed", "The cookie's value is none of ours."
    UNKNOWN = "session_unknown", "The store has no such session: it ended, or never was."
    EXPIRED = "session_expired", "Its time is over."
    SEAL_BROKEN = (
        "session_seal_broken",
        "No key in `session.keys` opens the record, or it was changed.",
    )
    UNREADABLE = "session_unreadable", "The record is of another version."


class CredentialReason(Reason):
    """`ambiguous_credentials`"""

    SEVERAL_AUTHORIZATIONS = "several_authorizations", "More than one `Authorization` field."
    SEVERAL_API_KEYS = "several_api_keys", "More than one API key."
    SEVERAL_COOKIES = "several_session_cookies", "Session cookies with different values."


class TokenReason(Reason):
    """`invalid_token`, of whatever kind the token is"""

    MALFORMED = "bearer_malformed", "`Bearer` without a token68 (RFC 9110 section 11.2)."
    STRANGER = "issuer_unknown", "The token is good, but Magic does not know the issuer."
    REFUSED_BEFORE = "signature_refused_before", "Its signature was found wrong a while ago."
