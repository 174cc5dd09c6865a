"""Rate limits: ``limits:``."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from gateway.config import planned_keys
from gateway.config.section import GIVEN, Section
from gateway.config.units import RateText

_PARTS = ["ip", "email"]


def _parts(value: object) -> object:
    """One name or a list of them, each once. Raises `ValueError`."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts or parts == ["issuer"]:
        raise ValueError(
            "issuer is not supported yet" if parts == ["issuer"] else "expected ip, email or both"
        )
    if len({*map(str, parts)}) < len(parts):
        raise ValueError("expected each once")
    return tuple(parts)


def _text(parts: Sequence[str]) -> str | list[str]:
    return parts[0] if len(parts) == 1 else list(parts)


Per = Annotated[
    tuple[Literal["ip", "email"], ...],
    BeforeValidator(_parts),
    PlainSerializer(_text),
    WithJsonSchema(
        {"anyOf": [{"enum": _PARTS}, {"type": "array", "items": {"enum": _PARTS}, "minItems": 1}]}
    ),
]
"""What is counted together: all of an address, all for an email, or each of both."""


class LimitSettings(Section):
    """A rate limit."""

    rate: RateText
    """Requests in a window: 50/second, 300/minute, 5/15minutes."""
    per: Per = ("ip",)
    """Whose requests are counted together: ip; for `login` also email, or [ip, email] for both."""
    ip_rate: Annotated[RateText | None, GIVEN] = None
    """With [ip, email], the rate of an address, which offices share; 10 times `rate` if absent."""
    algorithm: Annotated[
        Literal["sliding-window"], planned_keys.refuse("token-bucket", "fixed-window", "gcra")
    ] = "sliding-window"
    """How they are counted."""
    mode: Annotated[Literal["enforce"], planned_keys.refuse("observe", "shadow", "dry-run")] = (
        "enforce"
    )
    """What happens to a request too many: it is refused."""
    on_store_failure: Literal["open", "closed", "local"] = "local"
    """Without the store: let pass, refuse, or count in this process."""
