"""The store that the environment names, where the config file names none."""

from collections.abc import Mapping
from typing import NamedTuple

REST_SCHEME = "upstash+"
"""Before the https:// of a REST API."""


class NamedStore(NamedTuple):
    """A store, and where it is named."""

    source: str
    """A variable, or a key of the file."""
    url: str
    token: str = ""
    token_source: str = ""
    """The variable of the token; empty for a store that takes none."""


_REST_VARIABLES = (
    ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"),
    ("KV_REST_API_URL", "KV_REST_API_TOKEN"),
)
"""The variables that `Redis.fromEnv()` of @upstash/redis reads, in its order."""


def store_of(env: Mapping[str, str]) -> NamedStore | None:
    """Return the store that ``env`` names; None if it names none."""
    if url := env.get("REDIS_URL"):
        return NamedStore("REDIS_URL", url)
    for name, token_name in _REST_VARIABLES:
        if url := env.get(name):
            return NamedStore(name, REST_SCHEME + url, env.get(token_name, ""), token_name)
    return None
