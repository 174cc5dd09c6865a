"""
Keys of later versions, which this version refuses as not supported yet.

The message distinguishes them from typing errors. Ignoring such a key would change what the config
means.
"""

from gateway.config.problems import KeyPath

CLUSTER = "write redis+cluster://host:port,host:port in redis.url"

KEYS = {
    "redis.cluster": CLUSTER,
    "redis.nodes": CLUSTER,
}
"""
What to use instead, by the path of the key; a star stands for the name of an entry, or its place in
a list.
"""


def remedy(path: KeyPath) -> str | None:
    """Say what to use instead of a key of a later version; None if ``path`` is no such key."""
    return next((KEYS[key] for key in KEYS if _matches(key.split("."), path)), None)


def _matches(pattern: list[str], path: KeyPath) -> bool:
    return len(pattern) == len(path) and all(
        wanted in ("*", step) for wanted, step in zip(pattern, path, strict=True)
    )
