"""From settings to the ways in: which kinds of credentials are looked for, and who judges them."""

import time
from contextlib import AsyncExitStack

from gateway.authn.api_key.key import KeySealer
from gateway.authn.api_key.verifier import ApiKeyVerifier, StoredKeys
from gateway.authn.authenticator import Authentication, Certified
from gateway.authn.certificate import Certificates
from gateway.authn.credentials import CredentialReader
from gateway.authn.failure_limit import USUAL, Failures
from gateway.authn.jwt.key_set import (
    KeySets,
    KeySource,
    at_url,
    in_file,
)
from gateway.authn.jwt.token import Issuer
from gateway.authn.jwt.verifier import JwtVerifier, Trusted
from gateway.config import compile as compiled
from gateway.config.credentials import CertificateNamesSettings, JwtIssuerSettings
from gateway.config.schema import Settings
from gateway.core.invalidation import Subject
from gateway.core.ports import Limiter, TokenVerifier
from gateway.core.request import PEOPLE, AuthMethod
from gateway.runtime.process import Process
from gateway.runtime.services.identity import People


def authentication(
    settings: Settings,
    process: Process,
    known: People,
    limiter: Limiter,
    stack: AsyncExitStack,
) -> Authentication:
    """The stage of the journey; ``stack`` closes what it opens."""
    verifiers: dict[AuthMethod, TokenVerifier] = {AuthMethod.DID_TOKEN: known.tokens}
    if settings.credentials.api_keys is not None:
        verifiers[AuthMethod.API_KEY] = _api_keys(process, known, limiter, stack)
    if settings.credentials.jwt:
        verifiers[AuthMethod.JWT] = _jwts(settings, process, known, stack)
    failed = settings.limits.get(USUAL.name)
    limit = compiled.limit(USUAL.name, failed) if failed is not None else USUAL
    return Authentication(
        CredentialReader(
            settings.session.cookie, PEOPLE | verifiers.keys(), api_key_header(settings)
        ),
        known.sessions,
        verifiers,
        Failures(limiter, time.time, limit),
        _certified(settings.credentials.client_certificates),
        process.shared.tally.add,
    )


def api_key_header(settings: Settings) -> str:
    """The field that may hold an API key; empty for none."""
    api_keys = settings.credentials.api_keys
    return (api_keys.header or "") if api_keys is not None else ""


def _api_keys(
    process: Process, known: People, limiter: Limiter, stack: AsyncExitStack
) -> ApiKeyVerifier:
    stored = StoredKeys(process.store, KeySealer(known.server_keys))
    verifier = ApiKeyVerifier(stored, known.directory, limiter)
    stack.callback(process.bus.on(Subject.API_KEY, verifier.forget))
    stack.callback(process.bus.on_missed(verifier.forget_all))
    return verifier


def _jwts(
    settings: Settings, process: Process, known: People, stack: AsyncExitStack
) -> JwtVerifier:
    trusted = [
        Trusted(
            Issuer(
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


def _certified(settings: CertificateNamesSettings | None) -> Certified | None:
    if settings is None:
        return None
    certificates = Certificates(settings.names, common_name=settings.common_name)
    return lambda shown: certificates.identity(shown, time.time())
