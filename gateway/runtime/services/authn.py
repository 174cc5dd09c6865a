"""From settings to the ways in: which kinds of credentials are looked for, and who judges them."""

import time
from contextlib import AsyncExitStack

from gateway.authn.api_key.key import KeySealer
from gateway.authn.api_key.redis import RedisApiKeys
from gateway.authn.api_key.verifier import ApiKeyVerifier
from gateway.authn.authenticator import Authenticator, CertificateVerifier
from gateway.authn.certificate import CertificateNames
from gateway.authn.credentials import CredentialReader
from gateway.authn.failure_limit import DEFAULT_LIMIT, FailureLimit
from gateway.authn.jwt.key_set import (
    KeySets,
    KeySource,
    at_url,
    in_file,
)
from gateway.authn.jwt.token import TrustedIssuer
from gateway.authn.jwt.verifier import IssuerWithKeys, JwtVerifier
from gateway.config import compile as compiled
from gateway.config.credentials import CertificateNamesSettings, JwtIssuerSettings
from gateway.config.schema import Settings
from gateway.core.identity import INTERACTIVE_METHODS, AuthMethod
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Limiter, TokenVerifier
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.identity import IdentityServices


def authentication(
    settings: Settings,
    process: ProcessServices,
    known: IdentityServices,
    limiter: Limiter,
    stack: AsyncExitStack,
) -> Authenticator:
    """The stage of the journey; ``stack`` closes what it opens."""
    verifiers: dict[AuthMethod, TokenVerifier] = {AuthMethod.DID_TOKEN: known.tokens}
    if settings.credentials.api_keys is not None:
        verifiers[AuthMethod.API_KEY] = _api_keys(process, known, limiter, stack)
    if settings.credentials.jwt:
        verifiers[AuthMethod.JWT] = _jwts(settings, process, known, stack)
    failed = settings.limits.get(DEFAULT_LIMIT.name)
    limit = compiled.limit(DEFAULT_LIMIT.name, failed) if failed is not None else DEFAULT_LIMIT
    return Authenticator(
        CredentialReader(
            settings.session.cookie,
            INTERACTIVE_METHODS | verifiers.keys(),
            api_key_header(settings),
        ),
        known.sessions,
        verifiers,
        FailureLimit(limiter, time.time, limit),
        _certified(settings.credentials.client_certificates),
        process.shared.counters.add,
    )


def api_key_header(settings: Settings) -> str:
    """The field that may hold an API key; empty for none."""
    api_keys = settings.credentials.api_keys
    return (api_keys.header or "") if api_keys is not None else ""


def _api_keys(
    process: ProcessServices, known: IdentityServices, limiter: Limiter, stack: AsyncExitStack
) -> ApiKeyVerifier:
    stored = RedisApiKeys(process.store, KeySealer(known.server_keys))
    verifier = ApiKeyVerifier(stored, known.directory, limiter)
    stack.callback(process.bus.on(InvalidationKind.API_KEY, verifier.forget))
    stack.callback(process.bus.on_missed(verifier.forget_all))
    return verifier


def _jwts(
    settings: Settings, process: ProcessServices, known: IdentityServices, stack: AsyncExitStack
) -> JwtVerifier:
    trusted = [
        IssuerWithKeys(
            TrustedIssuer(
                name=entry.issuer,
                audience=entry.audience,
                algorithms=frozenset(entry.algorithms),
                prefix=entry.subject_prefix,
                clock_skew_s=entry.clock_skew_s,
                max_lifetime_s=settings.identity.max_token_lifetime_s,
                email_claim=entry.claims.email,
                roles_claim=entry.claims.roles,
                scopes_claim=entry.claims.scopes,
            ),
            _key_source(entry, process.key_sets),
        )
        for entry in settings.credentials.jwt
    ]
    verifier = JwtVerifier(trusted, known.revocations)
    stack.push_async_callback(verifier.aclose)
    return verifier


def _key_source(entry: JwtIssuerSettings, known: KeySets) -> KeySource:
    place = entry.jwks_url or str(entry.jwks_file)
    fetch = at_url(place) if entry.jwks_url is not None else in_file(place)
    return KeySource(entry.issuer, fetch, place=place, known=known)


def _certified(settings: CertificateNamesSettings | None) -> CertificateVerifier | None:
    if settings is None:
        return None
    certificates = CertificateNames(settings.names, common_name=settings.common_name)
    return lambda shown: certificates.identity(shown, time.time())
