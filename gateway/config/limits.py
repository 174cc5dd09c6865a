"""Section ``limits``: rate limits."""

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from gateway.config.section import GIVEN, Section
from gateway.config.units import CountText, RateText
from gateway.core.limit import BY_ADDRESS, BY_HEADER

_WORDS = ("ip", "issuer", "session", "api-key", "email", "role", "route")
_FIELD = r"[A-Za-z][A-Za-z0-9-]{0,63}"
_EXPECTED = f"expected {', '.join(_WORDS)} or header:NAME, or a list of these"
MAX_COST = 1_000_000
FROM_ANSWER: Final = "from-answer"


def _parts(value: object) -> tuple[str, ...]:
    """Parse one part, or a list of different ones. Raises `ValueError`."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise ValueError(_EXPECTED)
    found = tuple(map(_part, parts))
    if len(set(found)) < len(found):
        raise ValueError("expected each once")
    return found


def _part(value: object) -> str:
    if value in _WORDS:
        return str(value)
    field = str(value).removeprefix(BY_HEADER)
    if field == value or not re.fullmatch(_FIELD, field):
        raise ValueError(_EXPECTED)
    return BY_HEADER + field.lower()


def _text(parts: Sequence[str]) -> str | list[str]:
    return parts[0] if len(parts) == 1 else list(parts)


_PART_SCHEMA = {
    "anyOf": [{"enum": list(_WORDS)}, {"type": "string", "pattern": f"^header:{_FIELD}$"}]
}

Per = Annotated[
    tuple[str, ...],
    PlainValidator(_parts),
    PlainSerializer(_text),
    WithJsonSchema(
        {
            "anyOf": [
                *_PART_SCHEMA["anyOf"],
                {"type": "array", "items": _PART_SCHEMA, "minItems": 1},
            ]
        }
    ),
]
"""What distinguishes the callers of a limit: one part of a request, or several together."""


def _cost(value: object) -> object:
    """Parse a number, or the word for the app's answer. Raises `ValueError`."""
    if value == FROM_ANSWER:
        return value
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    number = int(text) if re.fullmatch(r"[0-9]{1,7}", text, re.ASCII) else 0
    if not 0 < number <= MAX_COST:
        raise ValueError(f"expected a whole number from 1 to {MAX_COST}, or {FROM_ANSWER}")
    return number


Cost = Annotated[
    int | Literal["from-answer"],
    PlainValidator(_cost),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_COST}, {"const": FROM_ANSWER}]}
    ),
]
"""How many requests one counts as."""


class LimitSettings(Section):
    """A rate limit."""

    rate: RateText
    """Number of requests in a window: 50/second, 300/minute, 5/15minutes."""
    per: Per = BY_ADDRESS
    """
    Key of the counter: ip (the client's address), route, header:NAME, or what authentication finds
    out: issuer, session, api-key, email, role. A list is one combined key. For the limit named
    `login`: ip, email, or [ip, email] for one counter of each.
    """
    ip_rate: Annotated[RateText | None, GIVEN] = None
    """
    For `login` with [ip, email], the rate of an address. 10 times `rate` when absent, as the users
    of an office share an address.
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
    mode: Literal["enforce", "shadow"] = "enforce"
    """
    Effect of the limit: enforce refuses excess requests with 429; shadow counts them, reports them
    in the log and the metrics, and lets them pass.
    """
    on_store_failure: Literal["open", "closed", "local"] = "local"
    """
    Behaviour while Redis does not answer: local counts on in each process from what Redis said
    last, open lets all requests pass, closed refuses them with 503.
    """
