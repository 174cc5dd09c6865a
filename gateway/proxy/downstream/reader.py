"""The reading half of a client's connection: from bytes to requests that wait for their turn."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from gateway.core.errors import BadRequest, Refusal
from gateway.proxy.downstream.assembler import ParsedRequest, RequestAssembler
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.downstream.writer import ClientWriter
from gateway.proxy.http1.parser import (
    NOTHING,
    HttpProcessingError,
    RawRequestMessage,
    RequestParser,
    StreamReader,
    refusal_for,
    request_parser,
)

MAX_QUEUED = 15
"""Requests that wait for the one that is being served; then reading stops."""


class ClientReader(ClientWriter, ABC):
    """Feeds the parser with one part of one message at a time, and queues what comes out."""

    __slots__ = (
        "_body",
        "_unparsed",
        "_assembler",
        "_is_body_read",
        "_is_serving",
        "_parsed",
        "_queue",
        "early",
    )

    def __init__(self, server: ProxyServer) -> None:
        super().__init__(server)
        self._parser: RequestParser | None = None  # made when there is something to parse
        self._assembler = RequestAssembler(server.limits, server.next_request_id)
        self._queue: list[ParsedRequest | Refusal] = []  # a deque takes 600 bytes
        self._is_serving = False
        self._body: StreamReader = NOTHING
        """Of the request that was parsed last."""
        self._is_body_read = False
        """Whether all of it is with the parser."""
        self._unparsed = b""
        """What came behind a body that is not taken, or behind as many requests as may wait."""
        self._parsed: Sequence[tuple[RawRequestMessage, StreamReader]] = ()
        self.early = b""
        """What came behind a request to upgrade: it is for the tunnel."""

    @abstractmethod
    def _begin(self) -> None:
        """Serve what is queued."""

    def _read(self, data: bytes) -> None:
        """Queue the requests that ``data`` completes; what may not be read yet is held."""
        data, self._unparsed = self._unparsed + data, b""
        assembler = self._assembler
        while data or not assembler.splitter.is_in_head:
            if self._queue_is_full():
                self._unparsed = data
                self._pause_reading_for_buffer()
                return
            data = self._read_head(data) if assembler.splitter.is_in_head else self._read_body(data)
            if not data or self._stopped_parsing or assembler.is_closed:
                return

    def _queue_is_full(self) -> bool:
        """
        Whether as much waits as may: requests, or the body of one that another stands before.

        Bodies would wait 128 KiB each.
        """
        waiting = len(self._queue)
        return waiting >= MAX_QUEUED or (waiting > 1 and not self._assembler.splitter.is_in_head)

    def _read_head(self, data: bytes) -> bytes:
        """Take what belongs to the head that is under way; the rest."""
        end = self._assembler.splitter.head_end(data)
        if end is None:
            if not self._parse(data):
                return b""
            refusal = BadRequest("head") if self._parsed else self._assembler.size_refusal()
            if refusal is not None:
                self._reject(refusal)
            return b""
        part, rest = data[:end], data[end:]
        if not self._parse(part):
            return b""
        if not self._parsed:
            self._reject(BadRequest("empty head"))
            return b""
        ((message, self._body),), self._parsed = self._parsed, ()
        arrived = self._assembler.arrived(message, self._body, part, self.peer)
        if isinstance(arrived, Refusal):
            self._stopped_parsing = True
        elif message.upgrade:
            self._hold_back(rest)
        self._queue.append(arrived)
        if not self._is_serving:
            self._begin()
        return rest

    def _read_body(self, data: bytes) -> bytes:
        """
        Take what belongs to the body that is under way; the rest.

        The parser holds some back while the body is not taken: fed with nothing, it goes on.
        """
        assembler, rest = self._assembler, b""
        if self._is_body_read:
            data, rest = b"", data
        elif (end := assembler.splitter.body_end(data)) is not None:
            self._is_body_read = True
            data, rest = data[:end], data[end:]
        if (refusal := assembler.size_refusal()) is not None:
            self._reject(refusal)
            return b""
        if not self._parse(data):
            return b""
        if not self._body.is_eof():
            self._unparsed = rest
            return b""
        if assembler.splitter.has_chunks:
            self._parser = None  # it would make a trailer a field of the next message
        assembler.end_body()
        self._is_body_read = False
        return rest

    def _parse(self, data: bytes) -> bool:
        """Feed the parser; whether it takes it."""
        parser = self._parser or self._new_parser()
        try:
            self._parsed, _, _ = parser.feed_data(data)
        except HttpProcessingError as error:
            self._reject(refusal_for(error))
            return False
        return True

    def _hold_back(self, rest: bytes) -> None:
        """What follows is no request: leave it for the tunnel, unread."""
        self.early, self._stopped_parsing = rest, True
        self._pause_reading_for_buffer()

    def _new_parser(self) -> RequestParser:
        server = self._server
        self._parser = parser = request_parser(self, server.loop, server.limits.head_bytes)
        return parser

    def _reject(self, refusal: Refusal) -> None:
        """Answer bytes that are no request, after the requests before them; then close."""
        self._stopped_parsing = True
        if not self._body.is_eof():
            self._body.set_exception(refusal)  # the breach is in a body that is being forwarded
            return
        self._queue.append(refusal)
        if not self._is_serving:
            self._begin()
