"""From settings to the ways in: which kinds of credentials are looked for, and who judges them."""

import time
from contextlib import AsyncExitStack
from typing import NamedTuple

from gateway.authentication import Authentication
from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.failures import USUAL, Failures
from gateway.identity.api_key import KeySealer
from gateway.identity.api_keys import ApiKeyVerifier, StoredKeys
from gateway.identity.credentials import CredentialReader
from gateway.invalidation import Subject
from gateway.messages import PEOPLE, AuthMethod
from gateway.ports import Bus, Directory, Limiter, Sessions, Store, TokenVerifier


class Around(NamedTuple):
    """What is there already."""

    store: Store
    bus: Bus
    limiter: Limiter
    sessions: Sessions
    tokens: TokenVerifier
    directory: Directory
    server_keys: tuple[bytes, ...]


async def authentication(
    settings: Settings, around: Around, stack: AsyncExitStack
) -> Authentication:
    """The stage of the journey; ``stack`` closes what it opens."""
    verifiers: dict[AuthMethod, TokenVerifier] = {AuthMethod.DID_TOKEN: around.tokens}
    if settings.credentials.api_keys is not None:
        verifiers[AuthMethod.API_KEY] = _api_keys(around, stack)
    failed = settings.limits.get(USUAL.name)
    limit = compiled.limit(USUAL.name, failed) if failed is not None else USUAL
    return Authentication(
        CredentialReader(
            settings.session.cookie, PEOPLE | verifiers.keys(), api_key_header(settings)
        ),
        around.sessions,
        verifiers,
        Failures(around.limiter, time.time, limit),
    )


def api_key_header(settings: Settings) -> str:
    """The field that may hold an API key; empty for none."""
    api_keys = settings.credentials.api_keys
    return (api_keys.header or "") if api_keys is not None else ""


def _api_keys(around: Around, stack: AsyncExitStack) -> ApiKeyVerifier:
    stored = StoredKeys(around.store, KeySealer(around.server_keys))
    verifier = ApiKeyVerifier(stored, around.directory, around.limiter)
    stack.callback(around.bus.on(Subject.API_KEY, verifier.forget))
    stack.callback(around.bus.on_missed(verifier.forget_all))
    return verifier
