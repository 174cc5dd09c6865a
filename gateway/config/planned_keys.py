"""
What a config of a later version may say, and this one cannot do.

Such a key is told apart from a slip of the pen, and refused: to go on without, say, `burst` would
do another thing than was meant.
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
"""The star stands for the name of an entry or its place in a list."""


def is_key(path: KeyPath) -> bool:
    """Whether ``path`` leads to a key that a later version will know."""
    return any(_matches(pattern.split("."), path) for pattern in KEYS)


def _matches(pattern: list[str], path: KeyPath) -> bool:
    return len(pattern) == len(path) and all(
        wanted in ("*", step) for wanted, step in zip(pattern, path, strict=True)
    )


def refuse(*values: str) -> BeforeValidator:
    """Refuse ``values`` by saying that their time has not come."""

    def validate(value: object) -> object:
        if isinstance(value, str) and value in values:
            raise ValueError(f"{value} is not supported yet")
        return value

    return BeforeValidator(validate)
