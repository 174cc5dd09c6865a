"""API keys, for programs: enabled by ``credentials.api_keys``."""

from collections.abc import Sequence

from gateway.authn.api_key.inspect import inspect_api_key
from gateway.authn.api_key.key import KeySealer, has_key_shape
from gateway.authn.api_key.redis import RedisApiKeys
from gateway.authn.api_key.verifier import ApiKeyVerifier
from gateway.config.schema import Settings
from gateway.core.identity import AuthMethod
from gateway.core.invalidation import InvalidationKind
from gateway.core.issuer import SERVICE
from gateway.core.ports import Store
from gateway.core.reasons import CredentialReason
from gateway.runtime.services.credentials.kind import AuthnContext, CredentialKind


def api_key_store(store: Store, keys: Sequence[bytes]) -> RedisApiKeys:
    """Build the store of API keys, sealed with the first of ``keys``; for commands too."""
    return RedisApiKeys(store, KeySealer(keys))


def api_key_verifier(context: AuthnContext) -> ApiKeyVerifier | None:
    """Build the verifier and subscribe its cache to invalidations."""
    settings, process, identity, limiter, stack = context
    if settings.credentials.api_keys is None:
        return None
    stored = api_key_store(process.store, identity.server_keys)
    verifier = ApiKeyVerifier(stored, identity.directory, limiter)
    verifier.lookups = process.wire.counters.cache("api_keys")
    stack.callback(process.bus.on(InvalidationKind.API_KEY, verifier.forget))
    stack.callback(process.bus.on_missed(verifier.forget_all))
    return verifier


def api_key_header(settings: Settings) -> str:
    """Return the field that may hold an API key; empty for none."""
    api_keys = settings.credentials.api_keys
    return (api_keys.header or "") if api_keys is not None else ""


API_KEYS = CredentialKind(
    AuthMethod.API_KEY,
    has_shape=has_key_shape,
    header=api_key_header,
    several=CredentialReason.SEVERAL_API_KEYS,
    verifier=api_key_verifier,
    inspect=inspect_api_key,
    belongs_to=lambda issuer: issuer.startswith(SERVICE),
)
