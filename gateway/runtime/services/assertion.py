"""Build the signing of identity assertions: the keys, and the cache of signed tokens."""

import secrets
import time
from functools import partial
from urllib.parse import urlsplit

from gateway.assertion.cache import AssertionCache
from gateway.assertion.token import SigningKey, made_up_key, signing_key
from gateway.config.schema import Settings


def signing_keys(settings: Settings, seed: bytes) -> tuple[SigningKey, ...]:
    """Return the configured keys, each once; in development mode one is derived from ``seed``."""
    said = settings.identity.assertion
    if said is None:
        return ()
    keys = [signing_key(key.get_secret_value()) for key in said.keys] or [made_up_key(seed)]
    return tuple({key.key_id: key for key in keys}.values())


def assertions(settings: Settings, keys: tuple[SigningKey, ...]) -> AssertionCache | None:
    """Build the cache of assertions; None where the config asks for none."""
    said = settings.identity.assertion
    if said is None:
        return None
    return AssertionCache(
        said.header,
        keys[0],
        settings.server.public_url,
        {name: entry.audience for name, entry in settings.upstreams.items() if entry.audience},
        public_host=urlsplit(settings.server.public_url).netloc,
        lifetime_s=said.lifetime_s,
        binds_requests=said.bind == "request",
        clock=time.time,
        token_id=partial(secrets.token_urlsafe, 16),
    )
