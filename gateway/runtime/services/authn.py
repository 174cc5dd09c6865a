"""Build the stage that turns credentials into an identity, from the table of credential kinds."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from gateway.authn.authenticator import Authenticator, SessionLookup
from gateway.authn.credentials import AmbientSource, BearerKind, CredentialHeader, CredentialReader
from gateway.authn.failure_limit import DEFAULT_LIMIT, FailureLimit
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Limiter
from gateway.ratelimit.lists import LimitLists
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.credentials.kind import AuthnContext, CredentialKind
from gateway.runtime.services.credentials.registry import CREDENTIAL_KINDS
from gateway.runtime.services.identity import IdentityServices


def authenticator(
    settings: Settings,
    process: ProcessServices,
    identity: IdentityServices,
    limiter: Limiter,
    stack: AsyncExitStack,
    kinds: Sequence[CredentialKind] = CREDENTIAL_KINDS,
    lists: LimitLists | None = None,
    sessions: SessionLookup | None = None,
    failures: FailureLimit | None = None,
) -> Authenticator:
    """
    Build the stage for the kinds that ``settings`` enables; ``stack`` closes what it opens.

    ``sessions`` and ``failures`` replace what is built of ``identity`` and ``settings``.
    """
    context = AuthnContext(settings, process, identity, limiter, stack)
    built = [(kind, kind.verifier(context)) for kind in kinds]
    enabled = [kind for kind, verifier in built if verifier is not None]
    if failures is None:
        failures = failure_limit(settings, limiter, lists or LimitLists())
        counted = process.wire.counters.limits
        failures.counts = counted.setdefault(failures.limit.name, failures.counts)
    stack.callback(process.bus.on(InvalidationKind.LIMIT, failures.forget))
    certificates = [found for kind in kinds if (found := kind.certificates(context)) is not None]
    return Authenticator(
        _reader(settings, enabled),
        sessions or identity.sessions,
        {kind.method: verifier for kind, verifier in built if verifier is not None},
        failures,
        certificates[0] if certificates else None,
        process.wire.counters.add,
        {source: found for kind in enabled for source, found in kind.ambient(context).items()},
    )


def credential_headers(
    settings: Settings, kinds: Sequence[CredentialKind] = CREDENTIAL_KINDS
) -> tuple[str, ...]:
    """Return the fields that hold credentials, beside ``Authorization`` and ``Cookie``."""
    headers = [name for kind in kinds if (name := kind.header(settings))]
    sources = [source.name for source in _sources(settings, kinds) if not source.is_cookie]
    return (*headers, *sources)


def credential_cookies(settings: Settings) -> tuple[str, ...]:
    """Return the names of the cookies that hold credentials, beside the session's."""
    sources = _sources(settings, CREDENTIAL_KINDS)
    return tuple(source.name for source in sources if source.is_cookie)


def _sources(settings: Settings, kinds: Sequence[CredentialKind]) -> list[AmbientSource]:
    return [source for kind in kinds for source in kind.sources(settings)]


def _reader(settings: Settings, enabled: Sequence[CredentialKind]) -> CredentialReader:
    return CredentialReader(
        settings.session.cookie,
        [BearerKind(kind.method, kind.has_shape) for kind in enabled if kind.has_shape],
        [
            CredentialHeader(name, kind.method, kind.several)
            for kind in enabled
            if (name := kind.header(settings))
        ],
        _sources(settings, enabled),
    )


def failure_limit(settings: Settings, limiter: Limiter, lists: LimitLists) -> FailureLimit:
    """Build what charges clients for refused credentials."""
    configured = settings.limits.get(DEFAULT_LIMIT.name)
    limit = compiled.limit(DEFAULT_LIMIT.name, configured) if configured else DEFAULT_LIMIT
    return FailureLimit(limiter, time.time, limit, lists=lists)
