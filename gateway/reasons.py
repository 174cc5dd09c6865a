"""
Why a request was refused: a closed list, shared by logs, metrics, answers and documents.

A `Refusal`'s class decides the answer's code; its reason says more. Only reasons of ``forbidden``
are told to clients, and none of them says whom a rule names.
"""

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """One word for each; `MEANINGS` says what it means."""

    DENIED = "denied"
    NOT_LISTED = "not_listed"
    ROLE_MISSING = "role_missing"
    SCOPE_MISSING = "scope_missing"
    CREDENTIAL_NOT_ALLOWED = "credential_not_allowed"
    NETWORK_NOT_ALLOWED = "network_not_allowed"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    SIGN_IN_TO_BE_JUDGED = "sign_in_to_be_judged"
    ROLES_UNKNOWN = "roles_unknown"
    ROLES_UNREADABLE = "roles_unreadable"
    ORIGIN_MISSING = "origin_missing"
    ORIGIN_FOREIGN = "origin_foreign"
    SITE_FOREIGN = "site_foreign"
    UPGRADE_FOREIGN = "upgrade_foreign"
    PREFLIGHT_FOREIGN = "preflight_foreign"


class Meaning(NamedTuple):
    """A line of docs/reasons.md."""

    code: str
    """Of the problem document that it goes with."""
    is_told: bool
    """Whether the problem document says it too."""
    text: str


MEANINGS: dict[Reason, Meaning] = {
    Reason.DENIED: Meaning("forbidden", True, "A `deny` of the route holds."),
    Reason.NOT_LISTED: Meaning("forbidden", True, "Issuer, email, domain, address or wallet is in no `allow` of the route."),
    Reason.ROLE_MISSING: Meaning("forbidden", True, "None of the roles that an `allow` asks for."),
    Reason.SCOPE_MISSING: Meaning("forbidden", True, "The credential has none of the scopes that an `allow` asks for."),
    Reason.CREDENTIAL_NOT_ALLOWED: Meaning("forbidden", True, "Proven, but by a kind of credential that is not in `auth_methods`."),
    Reason.NETWORK_NOT_ALLOWED: Meaning("forbidden", True, "The client's address is in none of the `networks`."),
    Reason.METHOD_NOT_ALLOWED: Meaning("forbidden", True, "The request's method is in none of the `methods` of an `allow`."),
    Reason.SIGN_IN_TO_BE_JUDGED: Meaning("unauthenticated", False, "Nobody is signed in, where signing in is optional and the route has an `allow`."),
    Reason.ROLES_UNKNOWN: Meaning("store_unavailable", False, "The store did not say which roles the caller has, and the route asks for roles."),
    Reason.ROLES_UNREADABLE: Meaning("store_unavailable", False, "`roles:{issuer}` holds something else than names of roles, and the route asks for roles."),
    Reason.ORIGIN_MISSING: Meaning("cross_site", False, "A session cookie changes something, with neither `Origin` nor `Sec-Fetch-Site`."),
    Reason.ORIGIN_FOREIGN: Meaning("cross_site", False, "`Origin` is another site than `server.public_url`."),
    Reason.SITE_FOREIGN: Meaning("cross_site", False, "`Sec-Fetch-Site` is not `same-origin`."),
    Reason.UPGRADE_FOREIGN: Meaning("cross_site", False, "A WebSocket with a session cookie whose `Origin` is not `server.public_url`."),
    Reason.PREFLIGHT_FOREIGN: Meaning("cross_site", False, "A CORS preflight of an origin that the route does not list."),
}  # fmt: skip
"""A test holds that every reason stands in it, once."""
