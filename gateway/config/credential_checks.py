"""Checks between keys that concern credentials; see `gateway.config.checks`."""

from collections.abc import Iterator

from gateway.config.check import ASSERTION_HEADER, Check, repeated, routes_of
from gateway.config.credentials import SECTIONS
from gateway.config.draft import Draft
from gateway.config.identity import IdentityHeaders
from gateway.config.problems import KeyPath, Problem, dotted


def api_key_header_is_no_identity_header(draft: Draft) -> Iterator[Problem]:
    """Refuse an identity header for API keys: the gateway drops it from requests."""
    at = ("credentials", "api_keys", "header")
    header = draft.text(*at).lower()
    names = {**IdentityHeaders().model_dump(), **draft.mapping("identity", "headers")}
    taken = {name.lower() for name in names.values() if isinstance(name, str)}
    if header and header in taken:
        yield Problem(at, "is an identity header", remedy="choose another name")


def accepted_credentials_are_configured(draft: Draft) -> Iterator[Problem]:
    """Refuse a kind of credentials in ``accept`` that is not configured and so never succeeds."""
    sections = {str(method): section for method, section in SECTIONS.items()}
    for at in routes_of(draft):
        for place, _ in enumerate(draft.items(*at, "accept")):
            kind = (*at, "accept", place)
            section = sections.get(draft.text(*kind))
            if section is not None and draft.at("credentials", section) in (None, []):
                yield Problem(kind, f"needs {dotted(('credentials', section))}")


def jwt_issuers_differ(draft: Draft) -> Iterator[Problem]:
    """Require issuers and prefixes of subjects to be unique, and one source of keys for each."""
    issuers = _jwt_issuers(draft)
    yield from repeated(
        (((*at, "issuer"), draft.text(*at, "issuer")) for at in issuers), "same issuer as"
    )
    names = ((at, draft.text(*at, "subject_prefix") or draft.text(*at, "issuer")) for at in issuers)
    yield from repeated(names, "same subject_prefix or issuer as")
    for at in issuers:
        given = [key for key in ("jwks_url", "jwks_file") if draft.at(*at, key) is not None]
        if len(given) != 1:
            yield Problem(at, "expected either jwks_url or jwks_file")


def jwts_name_a_recipient(draft: Draft) -> Iterator[Problem]:
    """Require ``aud`` or ``azp`` to be checked: a token for another app would do otherwise."""
    for at in _jwt_issuers(draft):
        if all(draft.at(*at, key) is None for key in ("audience", "azp")):
            yield Problem(at, "expected audience, or azp")


def jwt_sources_are_for_jwts_alone(draft: Draft) -> Iterator[Problem]:
    """Require one cookie or header, which holds nothing else that the gateway reads or writes."""
    written = {**IdentityHeaders().model_dump(), **draft.mapping("identity", "headers")}
    taken = {name.lower() for name in written.values() if isinstance(name, str)}
    taken |= {draft.text("credentials", "api_keys", "header").lower()}
    taken |= {draft.text(*ASSERTION_HEADER).lower()}
    for at in _jwt_issuers(draft):
        source = (*at, "from")
        if draft.at(*source) is None:
            continue
        if len([key for key in ("cookie", "header") if draft.at(*source, key) is not None]) != 1:
            yield Problem(source, "expected either cookie or header")
        cookie, header = draft.text(*source, "cookie"), draft.text(*source, "header").lower()
        if cookie and cookie == draft.text("session", "cookie"):
            yield Problem((*source, "cookie"), "is the session cookie: choose another name")
        if header and header in taken:
            yield Problem((*source, "header"), "is an identity or API key header")


def client_certificates_need_a_ca(draft: Draft) -> Iterator[Problem]:
    """Require the CA that signs client certificates: without it none is requested."""
    at = ("credentials", "client_certificates")
    if draft.at(*at) is not None and draft.at("server", "tls", "client_ca") is None:
        yield Problem(at, "needs server.tls.client_ca")


def _jwt_issuers(draft: Draft) -> list[KeyPath]:
    return [
        ("credentials", "jwt", place) for place, _ in enumerate(draft.items("credentials", "jwt"))
    ]


CREDENTIAL_CHECKS: tuple[Check, ...] = (
    Check("api-key-header-taken", api_key_header_is_no_identity_header, "choose another name"),
    Check("credential-not-configured", accepted_credentials_are_configured, "add that section"),
    Check("jwt-issuers-alike", jwt_issuers_differ, "keep one of them"),
    Check("jwt-without-recipient", jwts_name_a_recipient, "add one of them"),
    Check("jwt-source", jwt_sources_are_for_jwts_alone, "choose one, of another name"),
    Check("client-ca-missing", client_certificates_need_a_ca, "name the file of the CA"),
)
