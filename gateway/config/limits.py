"""Section ``limits``: rate limits."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from gateway.config import planned_keys
from gateway.config.section import GIVEN, Section
from gateway.config.units import CountText, RateText

_PARTS = ["ip", "email"]


def _parts(value: object) -> object:
    """Parse one name, or a list of different ones. Raises `ValueError`."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts or parts == ["issuer"]:
        if parts == ["issuer"]:
            raise planned_keys.NotSupportedYetError("issuer")
        raise ValueError("expected ip, email or both")
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
"""Keys of the counters of a limit: the client's address, the email address, or both."""


class LimitSettings(Section):
    """A rate limit."""

    rate: RateText
    """Number of requests in a window: 50/second, 300/minute, 5/15minutes."""
    per: Per = ("ip",)
    """
    Key of the counter: ip, the client's address. For the limit named `login` also email, or
    [ip, email] for one counter of each.
    """
    ip_rate: Annotated[RateText | None, GIVEN] = None
    """
    With [ip, email], the rate of an address. 10 times `rate` when absent, as the users of an office
    share an address.
    """
    algorithm: Literal["sliding-window", "fixed-window", "token-bucket"] = "sliding-window"
    """
    Algorithm of the counter. sliding-window: evenly, with no more than the rate in each window of
    the clock; fixed-window: the same, but each window begins from zero; token-bucket: `burst`
    requests at once, then the rate.
    """
    burst: Annotated[CountText | None, GIVEN] = None
    """
    With token-bucket, how many requests may come at once: at most `burst` and the rate together in
    any window. As many as the rate when absent.
    """
    mode: Annotated[Literal["enforce"], planned_keys.refuse("observe", "shadow", "dry-run")] = (
        "enforce"
    )
    """Effect of the limit: enforce refuses excess requests with 429."""
    on_store_failure: Literal["open", "closed", "local"] = "local"
    """
    Behaviour while Redis does not answer: local counts on in each process from what Redis said
    last, open lets all requests pass, closed refuses them with 503.
    """
