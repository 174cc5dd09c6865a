"""JWTs of other issuers: enabled by ``credentials.jwt``."""

from collections.abc import Mapping, Sequence

from gateway.authn.credentials import AmbientSource
from gateway.authn.jwt.first_seen import FirstSeen
from gateway.authn.jwt.inspect import inspect_jwt
from gateway.authn.jwt.key_set import KeySets, KeySource, at_url, in_file
from gateway.authn.jwt.token import TrustedIssuer, has_jwt_shape
from gateway.authn.jwt.verifier import IssuerWithKeys, JwtVerifier
from gateway.config.credentials import JwtIssuerSettings, JwtSourceSettings
from gateway.config.schema import Settings
from gateway.core.identity import AuthMethod
from gateway.runtime.services.credentials.kind import AuthnContext, CredentialKind


def jwt_verifier(context: AuthnContext) -> JwtVerifier | None:
    """Build the verifier; the key sets outlive the config."""
    entries = context.settings.credentials.jwt
    return _verifier(context, entries, AuthMethod.JWT) if entries else None


def jwt_sources(settings: Settings) -> tuple[AmbientSource, ...]:
    """Return the cookies and fields in which browsers send JWTs, each once."""
    found = (_source(entry.from_) for entry in settings.credentials.jwt if entry.from_)
    return tuple(dict.fromkeys(found))


def ambient_jwt_verifiers(context: AuthnContext) -> Mapping[AmbientSource, JwtVerifier]:
    """Build a verifier for each source, of the issuers whose tokens come in it."""
    entries = context.settings.credentials.jwt
    return {
        source: _verifier(
            context,
            [entry for entry in entries if entry.from_ and _source(entry.from_) == source],
            AuthMethod.JWT.sent_automatically(),
        )
        for source in jwt_sources(context.settings)
    }


def _verifier(
    context: AuthnContext, entries: Sequence[JwtIssuerSettings], method: AuthMethod
) -> JwtVerifier:
    settings, process, identity, _limiter, stack = context
    max_lifetime_s = settings.identity.max_token_lifetime_s
    issuers = [
        IssuerWithKeys(_trusted_issuer(entry, max_lifetime_s), _key_source(entry, process.key_sets))
        for entry in entries
    ]
    verifier = JwtVerifier(issuers, identity.revocations, FirstSeen(process.store), method=method)
    verifier.lookups = process.wire.counters.cache("jwts")
    stack.push_async_callback(verifier.aclose)
    return verifier


def _source(settings: JwtSourceSettings) -> AmbientSource:
    if settings.cookie is not None:
        return AmbientSource(AuthMethod.JWT, settings.cookie, is_cookie=True)
    return AmbientSource(AuthMethod.JWT, (settings.header or "").lower(), is_cookie=False)


def _trusted_issuer(entry: JwtIssuerSettings, max_lifetime_s: float) -> TrustedIssuer:
    return TrustedIssuer(
        name=entry.issuer,
        audience=entry.audience or "",
        algorithms=frozenset(entry.algorithms),
        prefix=entry.subject_prefix,
        clock_skew_s=entry.clock_skew_s,
        max_lifetime_s=max_lifetime_s,
        email_claim=entry.claims.email,
        roles_claim=entry.claims.roles,
        scopes_claim=entry.claims.scopes,
        parties=frozenset(entry.azp),
    )


def _key_source(entry: JwtIssuerSettings, known: KeySets) -> KeySource:
    place = entry.jwks_url or str(entry.jwks_file)
    fetch = at_url(place) if entry.jwks_url is not None else in_file(place)
    return KeySource(entry.issuer, fetch, place=place, known=known)


JWTS = CredentialKind(
    AuthMethod.JWT,
    has_shape=has_jwt_shape,
    verifier=jwt_verifier,
    sources=jwt_sources,
    ambient=ambient_jwt_verifiers,
    inspect=inspect_jwt,
    belongs_to=lambda issuer: "#" in issuer,
)
