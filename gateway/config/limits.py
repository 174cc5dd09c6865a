"""Section ``limits``: rate limits."""

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from gateway.config.section import GIVEN, Section
from gateway.config.texts import file_path
from gateway.config.units import CountText, Duration, Flag, RateText
from gateway.core.limit import BY_ADDRESS, BY_HEADER
from gateway.ratelimit.entry import Entry, read_entry

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


class ListPath(NamedTuple):
    """The file that holds a part of a list."""

    path: str


def _list_entry(value: object) -> Entry | ListPath:
    """Parse an entry, or a mapping that names a file. Raises `ValueError`."""
    match value:
        case str():
            return read_entry(value)
        case {"file": str(path), **more} if not more:
            return ListPath(file_path(path))
    raise ValueError("expected an address, a network, an issuer, an email address, or {file: PATH}")


def _written(entry: Entry | ListPath) -> str | dict[str, str]:
    return entry.text if isinstance(entry, Entry) else {"file": entry.path}


EntryOrFile = Annotated[
    Entry | ListPath,
    PlainValidator(_list_entry),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["10.0.0.0/8", "did:ethr:0x…", "*@example.com"]},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string", "minLength": 1}},
                    "required": ["file"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""An entry of a deny or allow list, or a file of them."""


def _whole_seconds(length_s: float) -> float:
    """Refuse parts of a second. Raises `ValueError`."""
    if length_s % 1:
        raise ValueError("expected whole seconds, such as 30s")
    return length_s


class LimitSettings(Section):
    """A rate limit, or a limit on the requests that are under way at one time."""

    rate: Annotated[RateText | None, GIVEN] = None
    """Number of requests in a window: 50/second, 300/minute, 5/15minutes. Or `concurrent`."""
    concurrent: Annotated[CountText | None, GIVEN] = None
    """
    In place of a rate: how many requests of a caller may be under way at one time, at all gateways
    together. A WebSocket counts until it is closed.
    """
    lease_s: Annotated[Duration, AfterValidator(_whole_seconds)] = Field(60.0, alias="lease")
    """
    With `concurrent`, after how long the requests of a gateway that died count no more. Others
    count until they end, however long they take.
    """
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
    algorithm: Literal["sliding-window", "fixed-window", "token-bucket", "concurrency"] = (
        "sliding-window"
    )
    """
    Algorithm of the counter. sliding-window: evenly, with no more than the rate in each window of
    the clock; fixed-window: the same, but each window begins from zero; token-bucket: `burst`
    requests at once, then the rate; concurrency: `concurrent` requests at one time, the default
    with that key.
    """
    burst: Annotated[CountText | None, GIVEN] = None
    """
    With token-bucket, how many requests may come at once: at most `burst` and the rate together in
    any window. As many as the rate when absent.
    """
    approximate: Flag = False
    """
    Whether each process counts by itself, and tells Redis ten times a second: for callers with very
    many requests. Each process may let a tenth of the rate pass beyond the limit.
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
    deny: Annotated[tuple[EntryOrFile, ...], GIVEN] = ()
    """
    Callers that are refused with 403 before anything is charged: addresses, networks, issuers,
    email addresses, *@ and a domain, and {file: PATH} with one of these in a line.
    """
    allow: Annotated[tuple[EntryOrFile, ...], GIVEN] = ()
    """Callers that are not counted, written as in `deny`. A caller on both lists is refused."""
    overrides: Flag = False
    """
    Whether single callers may have another rate, which `gateway limits set` or an app writes to
    Redis. Each caller is looked up once in 10 seconds.
    """

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, data: object) -> object:
        """Add the algorithm of a limit on requests that are under way."""
        if isinstance(data, dict) and "concurrent" in data:
            return {"algorithm": "concurrency", **data}
        return data
