"""JWTs of other issuers: enabled by ``credentials.jwt``."""

from gateway.authn.jwt.inspect import inspect_jwt
from gateway.authn.jwt.key_set import KeySets, KeySource, at_url, in_file
from gateway.authn.jwt.token import TrustedIssuer, has_jwt_shape
from gateway.authn.jwt.verifier import IssuerWithKeys, JwtVerifier
from gateway.config.credentials import JwtIssuerSettings
from gateway.core.identity import AuthMethod
from gateway.runtime.services.credentials.kind import AuthnContext, CredentialKind


def jwt_verifier(context: AuthnContext) -> JwtVerifier | None:
    """Build the verifier; the key sets outlive the config."""
    settings, process, identity, _limiter, stack = context
    if not settings.credentials.jwt:
        return None
    max_lifetime_s = settings.identity.max_token_lifetime_s
    issuers = [
        IssuerWithKeys(_trusted_issuer(entry, max_lifetime_s), _key_source(entry, process.key_sets))
        for entry in settings.credentials.jwt
    ]
    verifier = JwtVerifier(issuers, identity.revocations)
    stack.push_async_callback(verifier.aclose)
    return verifier


def _trusted_issuer(entry: JwtIssuerSettings, max_lifetime_s: float) -> TrustedIssuer:
    return TrustedIssuer(
        name=entry.issuer,
        audience=entry.audience,
        algorithms=frozenset(entry.algorithms),
        prefix=entry.subject_prefix,
        clock_skew_s=entry.clock_skew_s,
        max_lifetime_s=max_lifetime_s,
        email_claim=entry.claims.email,
        roles_claim=entry.claims.roles,
        scopes_claim=entry.claims.scopes,
    )


def _key_source(entry: JwtIssuerSettings, known: KeySets) -> KeySource:
    place = entry.jwks_url or str(entry.jwks_file)
    fetch = at_url(place) if entry.jwks_url is not None else in_file(place)
    return KeySource(entry.issuer, fetch, place=place, known=known)


JWTS = CredentialKind(
    AuthMethod.JWT, has_shape=has_jwt_shape, verifier=jwt_verifier, inspect=inspect_jwt
)
