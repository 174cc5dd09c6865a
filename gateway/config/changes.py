"""Parts of a config that a reload cannot change."""

from gateway.config.schema import Settings

NEEDS_RESTART = (
    *("server.listen", "server.workers"),
    *("admin.listen", "admin.hosts", "admin.tls", "admin.route"),
    *("redis", "magic"),
)
"""
Parts that are read once, at start: listeners, processes, and connections to Redis and Magic.

`magic` is among them because magic-admin keeps the client id in a global variable.
"""


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """List the parts of `NEEDS_RESTART` that differ, by their keys in the file."""
    return [part for part in NEEDS_RESTART if _at(old, part) != _at(new, part)]


def _at(settings: Settings, part: str) -> object:
    value: object = settings
    for key in part.split("."):
        value = getattr(value, key) if value is not None else None
    return value
