"""From settings to those who know people: sessions, Magic's users, tokens, and what is void."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

from gateway.authn.did_token.token import TokenRules
from gateway.authn.did_token.verifier import DidTokenVerifier
from gateway.config.schema import Settings
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Revocations
from gateway.revocation.epoch import KEPT_BEYOND_S
from gateway.revocation.redis import RedisRevocations
from gateway.runtime.process import ProcessServices
from gateway.sessions.cache import FRESH_S, SessionCache
from gateway.sessions.idle import STEPS
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from gateway.telemetry.metrics import GRACE_USES, REVOCATIONS, TOKENS_EARLY
from gateway.users.directory import CachedDirectory
from gateway.users.metadata import RecordLifetimes, RecordSealer


class IdentityServices(NamedTuple):
    """Those who know people, by one config."""

    server_keys: tuple[bytes, ...]
    """The first seals, all open."""
    revocations: RedisRevocations
    sessions: RedisSessions
    directory: CachedDirectory
    tokens: DidTokenVerifier


def identity_services(
    settings: Settings, process: ProcessServices, stack: AsyncExitStack
) -> IdentityServices:
    """They hear of what they must forget, until ``stack`` closes them."""
    on, on_missed = process.bus.on, process.bus.on_missed
    keys = _server_keys(settings) or (process.made_up_key,)
    revocations = _revocations(settings, process)
    stack.callback(on(InvalidationKind.REVOKED, revocations.forget))
    stack.callback(on_missed(revocations.forget_all))
    sessions = _sessions(settings, process, keys, revocations)
    stack.push_async_callback(sessions.aclose)
    stack.callback(on(InvalidationKind.SESSION, sessions.forget))
    stack.callback(on(InvalidationKind.REVOKED, sessions.forget_issuer))
    stack.callback(on_missed(sessions.forget_all))
    directory = _directory(settings, process, keys)
    sessions.latest = directory.latest
    stack.push_async_callback(directory.aclose)
    stack.callback(on(InvalidationKind.USER, directory.forget))
    tokens = _verifier(settings, process, directory, keys[0], revocations)
    return IdentityServices(keys, revocations, sessions, directory, tokens)


def _server_keys(settings: Settings) -> tuple[bytes, ...]:
    return tuple(key.get_secret_value().encode() for key in settings.session.keys)


def _revocations(settings: Settings, process: ProcessServices) -> RedisRevocations:
    identity, counters = settings.identity, process.shared.counters
    return RedisRevocations(
        process.store,
        process.bus,
        kept_s=identity.max_token_lifetime_s + KEPT_BEYOND_S,
        grace_s=settings.session.grace_s,
        on_revoked=counters.events(REVOCATIONS),
    )


def _sessions(
    settings: Settings, process: ProcessServices, keys: Sequence[bytes], revocations: Revocations
) -> RedisSessions:
    sessions = RedisSessions(
        process.store,
        Sealer(keys),
        lifetime_cap_s=settings.session.lifetime_s,
        cache=_cache(settings),
        bus=process.bus,
        revocations=revocations,
        on_grace=process.shared.counters.events(GRACE_USES),
        idle_s=settings.session.idle_s,
    )
    sessions.on_end = process.tunnels.end_session
    return sessions


def farewell(settings: Settings, process: ProcessServices) -> Callable[[str], object]:
    """Told who signs out."""
    if process.magic_logout is None or not settings.session.logout_magic:
        return lambda _issuer: None
    return process.magic_logout.say


def _cache(settings: Settings) -> SessionCache:
    """Nothing is remembered for so long that it could have ended because it was not used."""
    grace_s, idle_s = settings.session.grace_s, settings.session.idle_s
    if idle_s is None:
        return SessionCache(grace_s=grace_s)
    return SessionCache(min(FRESH_S, idle_s / STEPS), grace_s=min(grace_s, idle_s))


def _directory(
    settings: Settings, process: ProcessServices, keys: Sequence[bytes]
) -> CachedDirectory:
    identity = settings.identity
    return CachedDirectory(
        process.magic.source,
        process.store,
        RecordSealer(keys),
        RecordLifetimes(identity.metadata_ttl_s, identity.metadata_stale_s),
        changed=partial(process.bus.publish, InvalidationKind.USER),
    )


def _verifier(
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
        rules=TokenRules(
            process.magic.client_id,
            settings.identity.max_token_lifetime_s,
            settings.identity.clock_skew_s,
        ),
        server_key=server_key,
        on_early=process.shared.counters.events(TOKENS_EARLY),
        revocations=revocations,
    )
