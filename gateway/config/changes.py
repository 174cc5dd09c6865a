"""What of a new config can take the place of the old one while the gateway runs."""

from gateway.config.schema import Settings

NEEDS_RESTART = ("server.listen", "server.workers", "admin", "redis", "magic")
"""
Parts that are read once, when the gateway starts: what it listens on, and whom it asks.

magic-admin keeps the client id in a global of the process, so Magic's part is one of them.
"""


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """The parts of `NEEDS_RESTART` that differ, as they are written in the file."""
    return [part for part in NEEDS_RESTART if _at(old, part) != _at(new, part)]


def _at(settings: Settings, part: str) -> object:
    value: object = settings
    for key in part.split("."):
        value = getattr(value, key)
    return value
