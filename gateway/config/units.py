"""
Parsers of quantities with units: durations, sizes, rates, counts, true and false.

Each kind has a parser, a writer, and a type for the schema that combines them. The `ValueError` of
a parser says what was expected and never shows the text, which may be a secret.
"""

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from gateway.core.rate import PATTERN as RATE
from gateway.core.rate import Rate, rate_text, read_rate

T = TypeVar("T")


_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_DURATION_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_LONGEST_MS = 3650 * _DURATION_MS["d"]  # ten years: more is a typing error

_SIZE = re.compile(r"([0-9]{1,16})(TiB|GiB|MiB|KiB|B)?")
_SIZE_BYTES = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_LARGEST_BYTES = 1 << 50  # far from the 64 bits that the C parser counts in

_COUNT = re.compile(r"[0-9]{1,9}")
_MAX_FEW = 10
_MAX_WORKERS = 256


def duration_s(text: str) -> float:
    """Parse ``250ms``, ``10s``, ``5m``, ``1h`` or ``30d``; never zero. Raises `ValueError`."""
    match = _DURATION.fullmatch(text)
    length_ms = int(match[1]) * _DURATION_MS[match[2]] if match else 0
    if not 0 < length_ms <= _LONGEST_MS:
        raise ValueError("expected a duration such as 250ms, 10s, 5m, 1h or 30d, up to 3650d")
    return length_ms / 1000


def duration_text(length_s: float) -> str:
    """Write a duration in its shortest form, to the millisecond."""
    length_ms = round(length_s * 1000)
    unit = next(unit for unit, size in _DURATION_MS.items() if length_ms % size == 0)
    return f"{length_ms // _DURATION_MS[unit]}{unit}"


def pause_s(text: str) -> float:
    """Parse like `duration_s`, but allow 0. Raises `ValueError`."""
    return 0.0 if text in ("0", "0s") else duration_s(text)


def pause_text(length_s: float) -> str:
    """Write a duration as `pause_s` reads it."""
    return duration_text(length_s) if length_s else "0s"


def size_bytes(text: str) -> int:
    """Parse ``512``, ``16KiB`` or ``1GiB``; never zero. Raises `ValueError`."""
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _SIZE_BYTES[match[2] or "B"] if match else 0
    if not 0 < size <= _LARGEST_BYTES:
        raise ValueError("expected a size in bytes such as 512, 16KiB, 8MiB or 1GiB, up to 1024TiB")
    return size


def size_text(size: int) -> str:
    """Write a size in its shortest form."""
    unit = next(unit for unit, factor in _SIZE_BYTES.items() if size % factor == 0)
    return f"{size // _SIZE_BYTES[unit]}{unit}"


def size_or_zero_bytes(text: str) -> int:
    """Parse like `size_bytes`, but allow 0. Raises `ValueError`."""
    return 0 if text in ("0", "0B") else size_bytes(text)


def size_or_zero_text(size: int) -> str:
    """Write a size as `size_or_zero_bytes` reads it."""
    return size_text(size) if size else "0B"


def count(text: str) -> int:
    """Parse a whole number from 1 up. Raises `ValueError`."""
    number = int(text) if _COUNT.fullmatch(text) else 0
    if not number:
        raise ValueError("expected a whole number from 1 to 999999999")
    return number


def few(text: str) -> int:
    """Parse a whole number from 0 to 10. Raises `ValueError`."""
    number = int(text) if _COUNT.fullmatch(text) else _MAX_FEW + 1
    if number > _MAX_FEW:
        raise ValueError(f"expected a whole number from 0 to {_MAX_FEW}")
    return number


def workers(text: str) -> int | None:
    """Parse a number of processes; None for ``auto``, one per core. Raises `ValueError`."""
    if text == "auto":
        return None
    number = int(text) if _COUNT.fullmatch(text) else 0
    if not 0 < number <= _MAX_WORKERS:
        raise ValueError(f"expected auto, or a whole number from 1 to {_MAX_WORKERS}")
    return number


def workers_text(number: int | None) -> str | int:
    """Write a number of processes as `workers` reads it."""
    return "auto" if number is None else number


def flag(value: object) -> bool:
    """Parse true or false, as text too: placeholders give only text. Raises `ValueError`."""
    match value:
        case True | "true":
            return True
        case False | "false":
            return False
    raise ValueError("expected true or false")


def lifetime_s(text: str) -> float | None:
    """Parse a duration; None for ``token``, the lifetime of the DID token. Raises `ValueError`."""
    return None if text == "token" else duration_s(text)


def lifetime_text(length_s: float | None) -> str:
    """Write a lifetime as `lifetime_s` reads it."""
    return "token" if length_s is None else duration_text(length_s)


def of_text(parse: Callable[[str], T], *, null: str | None = None) -> PlainValidator:
    """
    Make a validator of ``parse``, which is given text only; whole numbers are written as text.

    ``null`` is the text for a key without a value; None if a value is required.
    """

    def validate(value: object) -> T:
        # `type`, not `isinstance`: a bool is an int to Python, but not a number here.
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
"""A duration in seconds; may be 0."""

Size = Annotated[
    int,
    of_text(size_bytes),
    PlainSerializer(size_text),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": f"^{_SIZE.pattern}$", "examples": ["16KiB"]}
    ),
]
"""A size, in bytes."""

SizeOrZero = Annotated[
    int,
    of_text(size_or_zero_bytes),
    PlainSerializer(size_or_zero_text),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": f"^{_SIZE.pattern}$", "examples": ["64KiB", 0]}
    ),
]
"""A size in bytes; may be 0."""

RateText = Annotated[
    Rate,
    of_text(read_rate),
    PlainSerializer(rate_text),
    WithJsonSchema({"type": "string", "pattern": f"^{RATE}$", "examples": ["300/minute"]}),
]
"""A number of requests in a window."""

CountText = Annotated[int, of_text(count), WithJsonSchema({"type": "integer", "minimum": 1})]
"""A whole number from 1 up."""

Few = Annotated[
    int, of_text(few), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _MAX_FEW})
]
"""A whole number from 0 to 10."""

Workers = Annotated[
    int | None,
    of_text(workers),
    PlainSerializer(workers_text),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["auto", 4]}),
]
"""A number of processes; None for one per core."""

Flag = Annotated[bool, PlainValidator(flag), WithJsonSchema({"type": "boolean"})]
"""True or false."""

Lifetime = Annotated[
    float | None,
    of_text(lifetime_s),
    PlainSerializer(lifetime_text),
    WithJsonSchema({"type": "string", "examples": ["token", "12h"]}),
]
"""A duration in seconds; None for the lifetime of the DID token."""
