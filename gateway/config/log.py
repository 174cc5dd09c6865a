"""Section ``log``: the gateway's own log, on standard error, and the access log beside it."""

import re
from typing import Annotated, Literal

from pydantic import PlainSerializer, WithJsonSchema

from gateway.config.names import Name
from gateway.config.section import GIVEN, SOME, Section
from gateway.config.units import of_text
from gateway.telemetry.access_line import ACCESS_FIELDS, AccessField

_SHARE = re.compile(r"(100|[0-9]{1,2}(?:\.[0-9]{1,4})?)%")
_STATUSES = re.compile(r"[1-5](?:xx|[0-9]{2})")
_HUNDRED = 100


def share(text: str) -> float:
    """Parse ``0%`` to ``100%`` to a number from 0 to 1. Raises `ValueError`."""
    match = _SHARE.fullmatch(text)
    if match is None:
        raise ValueError("expected a percentage such as 1%, 0.5% or 0%")
    return round(float(match[1]) / _HUNDRED, 6)


def share_text(part: float) -> str:
    """Write a share as `share` reads it."""
    return f"{round(part * _HUNDRED, 4):g}%"


def statuses(text: str) -> int:
    """Parse a status such as ``304``, or a class such as ``2xx``, to 2. Raises `ValueError`."""
    if not _STATUSES.fullmatch(text):
        raise ValueError("expected a status such as 304, or a class such as 2xx")
    return int(text.removesuffix("xx"))


def statuses_text(number: int) -> str | int:
    """Write a status, or a class, as `statuses` reads it."""
    return number if number >= _HUNDRED else f"{number}xx"


Share = Annotated[
    float,
    of_text(share),
    PlainSerializer(share_text),
    WithJsonSchema({"type": "string", "pattern": f"^{_SHARE.pattern}$", "examples": ["1%"]}),
]
"""A part of something, from 0 to 1."""

Statuses = Annotated[
    int,
    of_text(statuses),
    PlainSerializer(statuses_text),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": f"^{_STATUSES.pattern}$",
            "examples": ["2xx", 304],
        }
    ),
]
"""A status, or a class of them."""


class AccessSampleSettings(Section):
    """A part of some requests, of which alone the access log has lines."""

    route: Annotated[Name | None, GIVEN] = None
    """Name of the route of these requests. All routes when absent."""
    status: Annotated[tuple[Statuses, ...] | None, SOME, GIVEN] = None
    """
    Statuses of their answers, such as 304 or 2xx. When absent, all but errors, and no refusals:
    these are lost only to a sample that names their status.
    """
    keep: Share
    """Percentage of these requests that have a line, at random. 0% for none."""


class AccessLogSettings(Section):
    """The access log, on standard output: a line for each request."""

    format: Literal["json", "text"] = "json"
    """Format of a line: json, or text, which is like the combined format of web servers."""
    fields: Annotated[tuple[AccessField, ...], SOME, GIVEN] = ACCESS_FIELDS
    """Fields of a line. All of them when absent."""
    sample: Annotated[tuple[AccessSampleSettings, ...], GIVEN] = ()
    """Which requests have a line. The first entry that fits decides; all others have one."""


class LogSettings(Section):
    """The gateway's own log, on standard error, and the access log, on standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level of the lines that are written. `gateway run --log-level` comes before it."""
    format: Literal["json", "text"] = "json"
    """Format of a line: json, or text for people. Times are as in ISO 8601, in UTC."""
    access: AccessLogSettings = AccessLogSettings()
    """The access log: its format, its fields, and what is left out."""
