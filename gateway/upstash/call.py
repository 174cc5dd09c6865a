"""
Calls: an HTTP request of Upstash's REST protocol, read into commands for the store.

There are three forms. A JSON array in the body: ``POST /`` is one command, ``/pipeline`` and
``/multi-exec`` are arrays of commands. A path, ``/set/foo/bar``, to which a body is appended as one
argument, and after that the query, ``?EX=100``. And an event stream: ``/subscribe/chat``.
"""

import json
from enum import Enum
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias
from urllib.parse import unquote_to_bytes

from gateway.core.errors import GatewayError
from gateway.upstash.commands import Command, refusal
from gateway.upstash.resp import ErrorReply

METHODS: Final = ("GET", "HEAD", "POST", "PUT")
MAX_BODY_BYTES: Final = 10 * 1024 * 1024
"""The limit of Upstash's free plan; there it is one of each command, here of the whole body."""

_EVENT_STREAM: Final = "text/event-stream"
_STREAMS: Final = (b"SUBSCRIBE", b"PSUBSCRIBE", b"MONITOR")
_BEARER: Final = "bearer "


class RestFault(GatewayError):
    """A request that is answered with ``status`` and an error, without asking the store."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ReplyFormat(Enum):
    """How the client wants replies."""

    JSON = "json"
    BASE64 = "base64"
    RESP2 = "resp2"


class CallTarget(NamedTuple):
    """The target of a request, decoded."""

    segments: tuple[bytes, ...]
    """Of the path; none for ``/``."""
    options: tuple[bytes, ...]
    """Names and values of the query, in order, without ``_token``."""
    token: str | None


class SingleCommand(NamedTuple):
    """One command."""

    command: Command


class CommandPipeline(NamedTuple):
    """Commands one after the other; an error stands for one that is not sent."""

    items: tuple[Command | ErrorReply, ...]


class Transaction(NamedTuple):
    """Commands between MULTI and EXEC; an error stands for one that discards all."""

    items: tuple[Command | ErrorReply, ...]


class EventStream(NamedTuple):
    """A command whose replies go on until the client leaves."""

    command: Command


RestCall: TypeAlias = SingleCommand | CommandPipeline | Transaction | EventStream


def read_target(target: str) -> CallTarget:
    """Decode the target of a request as it was sent, in origin-form or absolute-form."""
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]  # RFC 9112 section 3.2.2
    path, _, query = target.partition("?")
    encoded = path.removeprefix("/")
    segments = tuple(unquote_to_bytes(part) for part in encoded.split("/")) if encoded else ()
    options: list[bytes] = []
    token = None
    for part in filter(None, query.split("&")):
        name, _, value = (unquote_to_bytes(text.replace("+", " ")) for text in part.partition("="))
        if name == b"_token":
            token = value.decode("utf-8", "replace")
        else:
            options += [name, value] if value else [name]
    return CallTarget(segments, tuple(options), token)


def read_token(target: CallTarget, authorization: str) -> str | None:
    """Return the token of a request; the one in the field wins over the one in the query."""
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return target.token


def read_format(encoding: str, response_format: str) -> ReplyFormat:
    """Read ``Upstash-Encoding`` and ``Upstash-Response-Format``. Raises `RestFault`."""
    is_base64 = encoding.lower() == ReplyFormat.BASE64.value
    match response_format.lower():
        case "" | "json":
            return ReplyFormat.BASE64 if is_base64 else ReplyFormat.JSON
        case "resp2" if not is_base64:
            return ReplyFormat.RESP2
    raise RestFault(400, "ERR Invalid response format")


def read_call(target: CallTarget, accept: str, body: bytes) -> RestCall:
    """
    Read what a request asks for. Raises `RestFault`.

    The SDK sends ``[]`` as the body of a subscription: the body of an event stream is not read.
    """
    match target.segments:
        case ():
            return SingleCommand(_sent(_command(_parsed(body, "command"), "command")))
        case (b"pipeline",):
            return CommandPipeline(_items(body, "pipeline"))
        case (b"multi-exec",):
            return Transaction(_items(body, "multi-exec"))
        case (name, *_) if name.upper() in _STREAMS and _EVENT_STREAM in accept.lower():
            return EventStream(_event_command(target.segments))
    appended = (body,) if body else ()
    return SingleCommand(_sent((*target.segments, *appended, *target.options)))


def _sent(command: Command) -> Command:
    error = refusal(command)
    if error is not None:
        raise RestFault(400, error.text.decode("utf-8", "replace"))
    return command


def _event_command(segments: tuple[bytes, ...]) -> Command:
    name = segments[0].upper()
    if name != b"MONITOR" and len(segments) == 1:
        raise RestFault(400, f"ERR wrong number of arguments for '{name.decode().lower()}' command")
    return (name, *segments[1:])


def _items(body: bytes, kind: str) -> tuple[Command | ErrorReply, ...]:
    rows = _parsed(body, f"{kind} request")
    if not rows:
        raise RestFault(400, f"ERR empty {kind} request")
    commands = [_command(row, f"{kind} command") for row in rows]
    return tuple(refusal(command) or command for command in commands)


def _parsed(body: bytes, what: str) -> list[Any]:
    """Parse a JSON array; a number stays the text that it was sent as."""
    try:
        document = json.loads(
            body.decode(), parse_int=_Number, parse_float=_Number, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, list):
        raise RestFault(400, f"ERR failed to parse {what}")
    return document


class _Number(str):
    """A JSON number, as it was sent."""

    __slots__ = ()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _command(row: object, what: str) -> Command:
    if not isinstance(row, list):
        raise RestFault(400, f"ERR failed to parse {what}")
    if not row:
        raise RestFault(400, f"ERR empty {what}")
    return tuple(_word(value) for value in row)


def _word(value: object) -> bytes:
    match value:
        case str():
            # A lone surrogate, "\\ud800", is no character: UTF-8 cannot hold it.
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        case bool():
            return b"true" if value else b"false"
        case None:
            raise RestFault(400, "ERR null args are not supported")
    bracket = "[" if isinstance(value, list) else "{"
    raise RestFault(400, f'ERR unsupported arg type: "{bracket}": json.Delim')
