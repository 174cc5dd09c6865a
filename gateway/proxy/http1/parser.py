"""
aiohttp's HTTP/1 parsers (llhttp, in C), and the only module that imports them.

The parser classes are not documented API. So all use of them is here, the version is pinned to the
minor, and ``tests/contract/test_http1.py`` checks the behaviour that the gateway relies on.
Messages are never copied raw from one side to the other: they are parsed, and serialised anew.
"""

import asyncio
import importlib
from typing import Any, cast

from aiohttp import hdrs, http_parser
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import RawRequestMessage, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import istr

from gateway.core.errors import (
    BadRequest,
    HeadTooLarge,
    Refusal,
    StartError,
)

BODY_BUFFER_BYTES = 64 * 1024
"""How much of a body is buffered for the slower side; reading stops at twice this."""

_MAX_ANSWER_FIELD_BYTES = 64 * 1024
_MAX_ANSWER_FIELDS = 1000


class HttpProtocol(BaseProtocol):
    """An aiohttp protocol: its transport is not read while the buffer of a body is full."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Keep ``transport``.

        aiohttp would set TCP_NODELAY, which the event loops have done already: 2 to 3 µs.
        """
        self.transport = cast("asyncio.Transport", transport)

    def request_parser(self, head_bytes: int) -> http_parser.HttpParser[Any]:
        """
        Return the parser of this connection's requests; made when there is something to parse.

        It stands in aiohttp's own attribute, where aiohttp's flow control pauses it.
        """
        parser = self._parser
        if parser is None:
            self._parser = parser = request_parser(self, self._loop, head_bytes)
        return parser

    def drop_parser(self) -> None:
        """Free the parser; the next request gets a new one."""
        self._parser = None

    def resume_reading(self, resume_parser: bool = True) -> None:
        """
        Resume reading if it was paused.

        aiohttp calls this at the end of every body, paused or not. The check saves 1 µs a body of
        calls into the transport.
        """
        if self._reading_paused:
            super().resume_reading(resume_parser)


NOTHING: StreamReader = EMPTY_PAYLOAD
"""The body of a message without one: the parser returns this very object."""

KNOWN_NAMES = tuple(name for name in vars(hdrs).values() if isinstance(name, istr))
"""Field names that the parser hands over in this spelling, however they were sent."""


class WholeBody(StreamReader):
    """The body of a request that came with its head: no read waits, and nothing can fail it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data
        """What is not read yet."""

    def __repr__(self) -> str:
        return f"<WholeBody {len(self.data)} bytes left>"

    def is_eof(self) -> bool:
        return True

    def at_eof(self) -> bool:
        return not self.data

    def read_nowait(self, n: int = -1) -> bytes:  # noqa: ARG002 (of the reader; never passed)
        data, self.data = self.data, b""
        return data

    async def readany(self) -> bytes:
        return self.read_nowait()

    def exception(self) -> BaseException | None:
        return None

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Ignore what happens to the connection: all of the body has come."""


RequestParser = http_parser.HttpRequestParser
ResponseParser = http_parser.HttpResponseParser

__all__ = [
    "BODY_BUFFER_BYTES",
    "KNOWN_NAMES",
    "NOTHING",
    "HttpProcessingError",
    "HttpProtocol",
    "RawRequestMessage",
    "RawResponseMessage",
    "RequestParser",
    "ResponseParser",
    "StreamReader",
    "WholeBody",
    "refusal_for",
    "request_parser",
    "require_c_parsers",
    "response_parser",
]


def require_c_parsers() -> None:
    """
    Refuse to start with aiohttp's pure-Python parsers, which allowed request smuggling.

    See CVE-2025-53643.

    Raises `StartError`.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise StartError("aiohttp lacks its C extension; its Python parser is not safe for a proxy")
    _read_answers_strictly()


def _read_answers_strictly() -> None:
    """
    Parse answers as strictly as requests.

    aiohttp is lenient with answers (bare LF, obs-fold, spaces after a chunk size, control
    characters) unless Python runs in development mode. Its C module reads this variable each time
    it makes a parser. Raises `StartError`.
    """
    extension = vars(importlib.import_module("aiohttp._http_parser"))
    if "DEBUG" not in extension:
        raise StartError("aiohttp's parser cannot be told to read answers strictly")
    extension["DEBUG"] = True


def request_parser(
    protocol: BaseProtocol, loop: asyncio.AbstractEventLoop, head_bytes: int
) -> RequestParser:
    """Make a parser for a client connection; no line or field may be over ``head_bytes``."""
    return http_parser.HttpRequestParser(
        protocol,
        loop,
        BODY_BUFFER_BYTES,
        max_line_size=head_bytes,
        max_field_size=head_bytes,
        max_headers=head_bytes,  # never reached: the gateway counts fields itself, to answer 431
        auto_decompress=False,
    )


def response_parser(
    protocol: BaseProtocol, loop: asyncio.AbstractEventLoop, *, answers_head: bool = False
) -> ResponseParser:
    """Make a parser for an upstream connection; ``answers_head`` if the request is HEAD."""
    return http_parser.HttpResponseParser(
        protocol,
        loop,
        BODY_BUFFER_BYTES,
        max_line_size=_MAX_ANSWER_FIELD_BYTES,
        max_field_size=_MAX_ANSWER_FIELD_BYTES,
        max_headers=_MAX_ANSWER_FIELDS,
        response_with_body=not answers_head,
        read_until_eof=True,
        auto_decompress=False,
    )


def refusal_for(error: HttpProcessingError) -> Refusal:
    """Return the refusal for a request that the parser rejected."""
    if isinstance(error, LineTooLong):
        return HeadTooLarge("a line is too long")
    return BadRequest(type(error).__name__)
