"""Build what knows identities: sessions, Magic's users, DID tokens, revocations, and their keys."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

from gateway.authn.did_token.token import TokenRules
from gateway.authn.did_token.verifier import DidTokenVerifier
from gateway.config.identity import IdentitySettings
from gateway.config.schema import Settings
from gateway.core.event_ports import SignIns, ToldChanges
from gateway.core.identity import User
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Revocations, Store
from gateway.revocation.epoch import KEPT_BEYOND_S
from gateway.revocation.redis import MAX_ISSUERS, RedisRevocations
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.store import SharedStore, reads_lag
from gateway.sessions.cache import FRESH_S, SessionCache
from gateway.sessions.email_index import EmailIndex
from gateway.sessions.idle import STEPS
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import SERVER_KEY_BYTES, Sealer
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import (
    GRACE_USES,
    LOGINS,
    REVOCATIONS,
    SESSIONS_CREATED,
    SESSIONS_ENDED,
    TOKENS_EARLY,
    SignInMethod,
)
from gateway.users.by_email import EmailSource, IssuersByEmail
from gateway.users.directory import CachedDirectory
from gateway.users.metadata import RecordLifetimes
from gateway.users.records import UserRecords, untell


class IdentityServices(NamedTuple):
    """The services that know identities, by one config."""

    server_keys: tuple[bytes, ...]
    """The first seals, all open."""
    revocations: RedisRevocations
    sessions: RedisSessions
    directory: CachedDirectory
    tokens: DidTokenVerifier


def identity_services(
    settings: Settings,
    process: ProcessServices,
    stack: AsyncExitStack,
    sign_ins: SignIns | None = None,
    changes: ToldChanges | None = None,
) -> IdentityServices:
    """
    Build them and subscribe their caches to invalidations; ``stack`` unsubscribes them.

    ``sign_ins`` records sign-ins; without it, tokens are marked as used and nothing is told.
    ``changes`` records the ends of sessions, and revocations.
    """
    on, on_missed = process.bus.on, process.bus.on_missed
    counters = process.wire.counters
    keys = server_keys(settings) or (process.made_up_key,)
    shared = SharedStore(process.store, process.bus)
    revocations = revocation_store(
        shared,
        settings.identity.max_token_lifetime_s,
        grace_s=settings.session.grace_s,
        on_revoked=counters.events(REVOCATIONS),
        capacity=settings.identity.cache,
        changes=changes,
    )
    stack.callback(on(InvalidationKind.REVOKED, revocations.forget))
    stack.callback(on_missed(revocations.forget_all))
    sessions = session_store(
        settings, shared, keys, revocations, counters.events(GRACE_USES), sign_ins, changes
    )
    sessions.on_end = process.tunnels.end_session
    sessions.on_created = partial(_signed_in, counters)
    sessions.on_ended = counters.labelled_events(SESSIONS_ENDED)
    sessions.lookups = counters.cache("sessions")
    revocations.lookups = counters.cache("revocations")
    stack.push_async_callback(sessions.aclose)
    stack.callback(on(InvalidationKind.SESSION, sessions.forget))
    stack.callback(on(InvalidationKind.REVOKED, sessions.forget_issuer))
    stack.callback(on_missed(sessions.forget_all))
    directory = _directory(settings, process, keys)
    sessions.latest = directory.latest
    stack.push_async_callback(directory.aclose)
    stack.callback(on(InvalidationKind.USER, directory.forget))
    directory.lookups = counters.cache("users")
    tokens = _did_token_verifier(settings, process, directory, keys[0], revocations)
    tokens.lookups = counters.cache("did_tokens")
    return IdentityServices(keys, revocations, sessions, directory, tokens)


# --- used by the command line too -----------------------------------------------------------------


def server_keys(settings: Settings) -> tuple[bytes, ...]:
    """Return the keys of ``session.keys``; none in development mode."""
    return tuple(key.get_secret_value().encode() for key in settings.session.keys)


def throwaway_keys() -> tuple[bytes, ...]:
    """Make a key for a command whose config has none: it opens nothing that is sealed."""
    return (secrets.token_bytes(SERVER_KEY_BYTES),)


def revocation_store(
    shared: SharedStore,
    lifetime_s: float,
    *,
    grace_s: float = 0.0,
    on_revoked: Callable[[], object] = lambda: None,
    capacity: int = MAX_ISSUERS,
    changes: ToldChanges | None = None,
) -> RedisRevocations:
    """Build the store of epochs, each kept for longer than a credential of ``lifetime_s`` lives."""
    kept_s = lifetime_s + KEPT_BEYOND_S
    return RedisRevocations(
        shared.store,
        shared.bus,
        kept_s=kept_s,
        grace_s=grace_s,
        on_revoked=on_revoked,
        capacity=capacity,
        clean_up=partial(untell, shared.store),
        changes=changes,
    )


def session_store(
    settings: Settings,
    shared: SharedStore,
    keys: Sequence[bytes],
    revocations: Revocations | None = None,
    on_grace: Callable[[], object] = lambda: None,
    sign_ins: SignIns | None = None,
    changes: ToldChanges | None = None,
) -> RedisSessions:
    """Build the store of sessions, sealed with the first of ``keys``."""
    return RedisSessions(
        shared.store,
        Sealer(keys),
        lifetime_cap_s=settings.session.lifetime_s,
        cache=_session_cache(settings),
        bus=shared.bus,
        revocations=revocations,
        on_grace=on_grace,
        idle_s=settings.session.idle_s,
        reads_lag=reads_lag(settings),
        sign_ins=sign_ins,
        changes=changes,
    )


def issuers_by_email(store: Store, source: EmailSource | None) -> IssuersByEmail:
    """Build the look-up of an email's issuers; ``source`` is None where Magic is simulated."""
    return IssuersByEmail(EmailIndex(store), source)


def user_records(store: Store, keys: Sequence[bytes]) -> UserRecords:
    """Build what reads and writes the records of users, sealed with the first of ``keys``."""
    return UserRecords(store, keys)


def record_lifetimes(settings: Settings) -> RecordLifetimes:
    """Return for how long the records of users are fresh, and how long they are kept."""
    return RecordLifetimes(settings.identity.metadata_ttl_s, settings.identity.metadata_stale_s)


def token_rules(identity: IdentitySettings, audience: str) -> TokenRules:
    """Return what DID tokens are checked by."""
    return TokenRules(audience, identity.max_token_lifetime_s, identity.clock_skew_s)


# --- of a gateway alone ---------------------------------------------------------------------------


def _signed_in(counters: Counters, user: User) -> None:
    counters.add(SESSIONS_CREATED)
    counters.add(LOGINS, f"{_sign_in_method(user)},ok")


def _sign_in_method(user: User) -> SignInMethod:
    """Return how a user signs in, as far as Magic's record of the user says it."""
    if user.oauth_provider:
        return "oauth"
    if user.email:
        return "email"
    return "sms" if user.phone else "wallet"


def _session_cache(settings: Settings) -> SessionCache:
    """Build a cache that keeps no session for so long that it could have ended unused."""
    grace_s, idle_s = settings.session.grace_s, settings.session.idle_s
    number = settings.identity.cache
    if idle_s is None:
        return SessionCache(max_sessions=number, grace_s=grace_s)
    return SessionCache(min(FRESH_S, idle_s / STEPS), number, min(grace_s, idle_s))


def _directory(
    settings: Settings, process: ProcessServices, keys: Sequence[bytes]
) -> CachedDirectory:
    return CachedDirectory(
        process.magic.source,
        user_records(process.store, keys),
        record_lifetimes(settings),
        changed=partial(process.bus.publish, InvalidationKind.USER),
        capacity=settings.identity.cache,
    )


def _did_token_verifier(
    settings: Settings,
    process: ProcessServices,
    directory: CachedDirectory,
    server_key: bytes,
    revocations: Revocations,
) -> DidTokenVerifier:
    return DidTokenVerifier(
        process.magic.checker.check,
        directory,
        process.store,
        rules=token_rules(settings.identity, process.magic.client_id),
        server_key=server_key,
        capacity=settings.identity.cache,
        on_early=process.wire.counters.events(TOKENS_EARLY),
        revocations=revocations,
    )
