"""
Keys and values of later versions, which this version refuses as not supported yet.

The message distinguishes them from typing errors. Ignoring such a key, `burst` for example, would
change what the config means.
"""

from pydantic import BeforeValidator

from gateway.config.problems import KeyPath

KEYS = frozenset(
    {
        "hooks",
        "limits.*.burst",
        "redis.token",
    }
)
"""Paths of keys; a star stands for the name of an entry, or its place in a list."""


def is_key(path: KeyPath) -> bool:
    """Whether ``path`` is a key of a later version."""
    return any(_matches(pattern.split("."), path) for pattern in KEYS)


def _matches(pattern: list[str], path: KeyPath) -> bool:
    return len(pattern) == len(path) and all(
        wanted in ("*", step) for wanted, step in zip(pattern, path, strict=True)
    )


def refuse(*values: str) -> BeforeValidator:
    """Refuse ``values`` of a key as not supported yet."""

    def validate(value: object) -> object:
        if isinstance(value, str) and value in values:
            raise ValueError(f"{value} is not supported yet")
        return value

    return BeforeValidator(validate)
