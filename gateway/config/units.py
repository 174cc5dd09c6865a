"""
Quantities as people write them: durations, sizes, rates, counts, yes and no.

Each kind has a parser, its inverse, and a type for the schema made of the two. A parser raises
`ValueError` that says what was expected, never what was found: that may be a secret.
"""

import re
from collections.abc import Callable
from typing import Annotated, NamedTuple, TypeVar

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

T = TypeVar("T")


class Rate(NamedTuple):
    """At most ``requests`` in any ``window_s`` seconds."""

    requests: int
    window_s: int


_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_DURATION_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_LONGEST_MS = 3650 * _DURATION_MS["d"]  # ten years: what is longer is a slip of the pen

_SIZE = re.compile(r"([0-9]{1,16})(TiB|GiB|MiB|KiB|B)?")
_SIZE_BYTES = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_LARGEST_BYTES = 1 << 50  # far from the 64 bits that the C parser counts in

_RATE = re.compile(r"([0-9]{1,9})/([0-9]{1,4})?(second|minute|hour|day)s?")
_WINDOW_S = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}

_COUNT = re.compile(r"[0-9]{1,9}")
_MOST_FEW = 10
_MOST_WORKERS = 256


def duration_s(text: str) -> float:
    """Seconds in ``10s``, ``250ms``, ``5m``, ``1h`` or ``30d``; never zero. Raises `ValueError`."""
    match = _DURATION.fullmatch(text)
    length_ms = int(match[1]) * _DURATION_MS[match[2]] if match else 0
    if not 0 < length_ms <= _LONGEST_MS:
        raise ValueError("expected a duration such as 250ms, 10s, 5m, 1h or 30d, up to 3650d")
    return length_ms / 1000


def duration_text(length_s: float) -> str:
    """The shortest way to write ``length_s`` seconds, to the millisecond."""
    length_ms = round(length_s * 1000)
    unit = next(unit for unit, size in _DURATION_MS.items() if length_ms % size == 0)
    return f"{length_ms // _DURATION_MS[unit]}{unit}"


def pause_s(text: str) -> float:
    """As `duration_s`; 0 is 0. Raises `ValueError`."""
    return 0.0 if text in ("0", "0s") else duration_s(text)


def pause_text(length_s: float) -> str:
    """The inverse of `pause_s`."""
    return duration_text(length_s) if length_s else "0s"


def size_bytes(text: str) -> int:
    """Bytes in ``512``, ``16KiB`` or ``1GiB``; never zero. Raises `ValueError`."""
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _SIZE_BYTES[match[2] or "B"] if match else 0
    if not 0 < size <= _LARGEST_BYTES:
        raise ValueError("expected a size in bytes such as 512, 16KiB, 8MiB or 1GiB, up to 1024TiB")
    return size


def size_text(size: int) -> str:
    """The shortest way to write ``size`` bytes."""
    unit = next(unit for unit, factor in _SIZE_BYTES.items() if size % factor == 0)
    return f"{size // _SIZE_BYTES[unit]}{unit}"


def rate(text: str) -> Rate:
    """The rate in ``300/minute``, ``5/15minutes`` or ``50/second``. Raises `ValueError`."""
    match = _RATE.fullmatch(text)
    requests = int(match[1]) if match else 0
    window_s = int(match[2] or "1") * _WINDOW_S[match[3]] if match else 0
    if not requests or not window_s:
        raise ValueError("expected a rate such as 50/second, 300/minute or 5/15minutes")
    return Rate(requests, window_s)


def rate_text(limit: Rate) -> str:
    """The shortest way to write ``limit``."""
    unit = next(unit for unit, length_s in _WINDOW_S.items() if limit.window_s % length_s == 0)
    times = limit.window_s // _WINDOW_S[unit]
    return f"{limit.requests}/{unit}" if times == 1 else f"{limit.requests}/{times}{unit}s"


def count(text: str) -> int:
    """A whole number from 1 up. Raises `ValueError`."""
    number = int(text) if _COUNT.fullmatch(text) else 0
    if not number:
        raise ValueError("expected a whole number from 1 to 999999999")
    return number


def few(text: str) -> int:
    """A whole number from 0 to 10. Raises `ValueError`."""
    number = int(text) if _COUNT.fullmatch(text) else _MOST_FEW + 1
    if number > _MOST_FEW:
        raise ValueError(f"expected a whole number from 0 to {_MOST_FEW}")
    return number


def workers(text: str) -> int | None:
    """A number of processes, or None for ``auto``: one for each core. Raises `ValueError`."""
    if text == "auto":
        return None
    number = int(text) if _COUNT.fullmatch(text) else 0
    if not 0 < number <= _MOST_WORKERS:
        raise ValueError(f"expected auto, or a whole number from 1 to {_MOST_WORKERS}")
    return number


def workers_text(number: int | None) -> str | int:
    """The inverse of `workers`."""
    return "auto" if number is None else number


def flag(value: object) -> bool:
    """True or false, also as text: a placeholder can only give text. Raises `ValueError`."""
    match value:
        case True | "true":
            return True
        case False | "false":
            return False
    raise ValueError("expected true or false")


def lifetime_s(text: str) -> float | None:
    """Seconds, or None for ``token``: as long as the DID token. Raises `ValueError`."""
    return None if text == "token" else duration_s(text)


def lifetime_text(length_s: float | None) -> str:
    """The inverse of `lifetime_s`."""
    return "token" if length_s is None else duration_text(length_s)


def of_text(parse: Callable[[str], T], *, null: str | None = None) -> PlainValidator:
    """
    Validate by ``parse``, which sees text alone; whole numbers are taken as written.

    ``null`` is the text that a key without a value stands for; None: it must have one.
    """

    def validate(value: object) -> T:
        # `type`, not `isinstance`: true is no number here.
        text = str(value) if type(value) is int else null if value is None else value
        if not isinstance(text, str):
            raise ValueError("expected text")  # noqa: TRY004 - pydantic wants this kind
        return parse(text)

    return PlainValidator(validate)


Duration = Annotated[
    float,
    of_text(duration_s),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["10s"]}),
]
"""A duration, in seconds."""

Pause = Annotated[
    float,
    of_text(pause_s),
    PlainSerializer(pause_text),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["30s", 0]}),
]
"""A duration in seconds, or 0 for none."""

Size = Annotated[
    int,
    of_text(size_bytes),
    PlainSerializer(size_text),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": f"^{_SIZE.pattern}$", "examples": ["16KiB"]}
    ),
]
"""A size, in bytes."""

RateText = Annotated[
    Rate,
    of_text(rate),
    PlainSerializer(rate_text),
    WithJsonSchema({"type": "string", "pattern": f"^{_RATE.pattern}$", "examples": ["300/minute"]}),
]
"""A rate: so many in a window."""

CountText = Annotated[int, of_text(count), WithJsonSchema({"type": "integer", "minimum": 1})]
"""A whole number from 1 up."""

Few = Annotated[
    int, of_text(few), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _MOST_FEW})
]
"""A small number, or none."""

Workers = Annotated[
    int | None,
    of_text(workers),
    PlainSerializer(workers_text),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["auto", 4]}),
]
"""A number of processes; None for one for each core."""

Flag = Annotated[bool, PlainValidator(flag), WithJsonSchema({"type": "boolean"})]
"""True or false."""

Lifetime = Annotated[
    float | None,
    of_text(lifetime_s),
    PlainSerializer(lifetime_text),
    WithJsonSchema({"type": "string", "examples": ["token", "12h"]}),
]
"""A duration in seconds; None for as long as the DID token."""
