"""
Lines of the access log, as JSON or as text. Reads no clock.

No line holds a secret: no query, no cookie, no token. Nor can a client forge a line: its text is
bounded, and control characters in it are escaped.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal, get_args

import orjson
from multidict import istr

from gateway.core.record import RequestRecord
from gateway.core.request import RequestHead
from gateway.telemetry.escape import visible
from gateway.util.kernel import KERNEL
from gateway.util.rfc3339 import rfc3339

AccessField = Literal[
    "time", "id", "client", "method", "scheme", "host", "path", "version", "route", "status",
    "bytes_in", "bytes", "ms", "issuer", "auth", "refusal", "reason", "upstream", "upstream_ms",
    "user_agent", "verify", "tunnel", "sample",
]  # fmt: skip
"""All fields of a line, in their order."""
ACCESS_FIELDS: Final[tuple[AccessField, ...]] = get_args(AccessField)

MAX_USER_AGENT: Final = 256
MAX_METHOD: Final = 64
MAX_PATH: Final = 1024
"""Characters of a path; a longer one is cut. So a line is written in one piece; see pipe(7)."""
MAX_REFUSED_PATH: Final = 200
MAX_REASON: Final = 256
_MAX_AGENTS = 1024

_HTTP_1_1 = (1, 1)
_USER_AGENT = istr("User-Agent")
_SECOND_END = len("1970-01-01T00:00:00")
_PATH_END = re.compile(r"[?#]")
_BARE = re.compile(r"[!#-\[\]-~]+")
"""Visible ASCII that needs no quotes."""
_IN_FRONT: Final = ("client", "issuer", "time", "method", "path", "version", "status", "bytes",
                    "user_agent")  # fmt: skip
"""Fields that have a place in a line of text; the others follow with their names."""


Values = tuple[str | float | None, ...]
"""Values of a line, in the order of `ACCESS_FIELDS`; None for a field that the line is without."""


class LineValues:
    """
    Collects the values of lines of requests; what repeats is made once.

    A request ended at ``at_s``, in Unix time. Its ``head`` is None if the bytes were no request.
    """

    __slots__ = ("_agents", "_at_ms", "_second", "_second_text", "_time")

    def __init__(self) -> None:
        self._at_ms = self._second = -1
        self._time = self._second_text = ""
        self._agents: dict[str, str] = {}
        """User agents as they are logged."""

    def of(
        self,
        at_s: float,
        head: RequestHead | None,
        record: RequestRecord,
        status: int,
        bytes_out: int,
        duration_s: float,
        sample: float,
    ) -> Values:
        """Return the values; ``sample`` is the part of such requests that have a line."""
        if (at_ms := int(at_s * 1000)) != self._at_ms:
            self._tell_time(at_ms)
        path, reason, upstream_s = record.path, record.reason, record.upstream_s
        if head is None:
            request_id, method, version, agent = record.request_id, "", "", ""
        else:
            method, _, numbers, headers, _, _, request_id, _, _ = head
            version = "1.1" if numbers == _HTTP_1_1 else f"{numbers[0]}.{numbers[1]}"
            agent = headers.get(_USER_AGENT, "")
            if agent:
                agent = self._agents.get(agent) or self._user_agent(agent)
        if not path or len(path) + len(method) > MAX_PATH:
            path, method = path[:MAX_PATH] or _refused_path(head), method[:MAX_METHOD]
        if reason and (len(reason) > MAX_REASON or not reason.isprintable()):
            reason = visible(reason)[:MAX_REASON]
        return (
            self._time,
            request_id,
            record.client,
            method,
            record.scheme,
            record.host,
            path,
            version,
            record.route,
            status,
            record.bytes_in,
            bytes_out,
            int(duration_s * 1_000_000) / 1000,
            record.issuer,
            record.auth_method,
            record.refusal,
            reason,
            record.upstream_server,
            int(upstream_s * 1_000_000) / 1000 if upstream_s else 0.0,
            agent,
            record.checked or None,
            record.tunnel or None,
            sample if sample < 1.0 else None,
        )

    def _tell_time(self, at_ms: int) -> None:
        """Format a time that differs from that of the line before."""
        second, milliseconds = divmod(at_ms, 1000)
        if second != self._second:
            self._second, self._second_text = second, rfc3339(at_ms)[:_SECOND_END]
        self._at_ms, self._time = at_ms, f"{self._second_text}.{milliseconds:03d}Z"

    def _user_agent(self, written: str) -> str:
        """Return what is logged of a user agent, and keep it if it is not long."""
        if len(self._agents) >= _MAX_AGENTS:
            self._agents.clear()
        agent = visible(written[:MAX_USER_AGENT])[:MAX_USER_AGENT]
        if len(written) <= MAX_USER_AGENT:
            self._agents[written] = agent
        return agent


Encode = Callable[[Values], bytes]
"""Makes a line, with its end, of its values."""


def json_lines(fields: Collection[AccessField] = ACCESS_FIELDS) -> Encode:
    """Return what encodes ``fields`` as JSON: in C, where it was built."""
    if KERNEL is None:
        return python_json_lines(fields)
    names = tuple(f'"{name}":'.encode() if name in fields else None for name in ACCESS_FIELDS)
    write: Callable[[tuple[bytes | None, ...], Values], bytes] = KERNEL.json_line

    def encode(values: Values) -> bytes:
        try:
            return write(names, values)
        except UnicodeEncodeError:  # surrogates: JSON is UTF-8
            return write(names, _all_visible(values))

    return encode


def python_json_lines(fields: Collection[AccessField] = ACCESS_FIELDS) -> Encode:
    """Return what encodes ``fields`` as JSON, as `json_lines` does."""
    chosen = frozenset(fields)

    def encode(values: Values) -> bytes:
        members = {name: value for name, value in named(values).items() if name in chosen}
        return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)

    def encode_any(values: Values) -> bytes:
        try:
            return encode(values)
        except orjson.JSONEncodeError:  # surrogates: JSON is UTF-8
            return encode(_all_visible(values))

    return encode_any


def named(values: Values) -> dict[str, Any]:
    """Return the members that a line has."""
    pairs = zip(ACCESS_FIELDS, values, strict=True)
    return {name: value for name, value in pairs if value is not None}


def text_lines(fields: Collection[AccessField] = ACCESS_FIELDS) -> Encode:
    """
    Return what encodes ``fields`` as text: the combined format of web servers, and others by name.

    The time is as in RFC 3339, and there is no referrer: its query may hold secrets.
    """
    left_out = tuple(name for name in _IN_FRONT if name not in fields)
    behind = tuple(name for name in ACCESS_FIELDS if name in fields and name not in _IN_FRONT)

    def encode(values: Values) -> bytes:
        members = named(values)
        for name in left_out:
            members[name] = ""
        pairs = ((name, members.get(name, "")) for name in behind)
        others = [f" {name}={_bare(value)}" for name, value in pairs if value != ""]
        return f"{_combined(members)}{''.join(others)}\n".encode()

    return encode


def _combined(members: Mapping[str, Any]) -> str:
    """Write the fields that have a place in a line of text."""
    client, issuer = _bare(members["client"]), _bare(members["issuer"])
    method, path, version = (members[name] or "-" for name in ("method", "path", "version"))
    request = _quoted(f"{method} {path} HTTP/{version}")
    status, size, agent = members["status"], members["bytes"], members["user_agent"] or "-"
    return (
        f"{client} - {issuer} [{members['time'] or '-'}] {request}"
        f' {_bare(status)} {_bare(size)} "-" {_quoted(agent)}'
    )


def _refused_path(head: RequestHead | None) -> str:
    """
    Path of a target that was not accepted, if it has one.

    Query and fragment may hold secrets, and so may the authority of an absolute-form target.
    """
    if head is None or not head.target.startswith("/"):
        return ""
    return visible(_PATH_END.split(head.target, maxsplit=1)[0][:MAX_REFUSED_PATH])


def _all_visible(values: Values) -> Values:
    return tuple(visible(value) if isinstance(value, str) else value for value in values)


def _bare(value: object) -> str:
    """Write a value between spaces; in quotes where it would not be one word."""
    text = str(value)
    return text if _BARE.fullmatch(text) else _quoted(text) if text else "-"


def _quoted(text: str) -> str:
    """Write text in quotes, which nothing in it can end."""
    escaped = visible(text.replace("\\", "\\\\")).replace('"', '\\"')
    return f'"{escaped}"'
