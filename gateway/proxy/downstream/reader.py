"""The requests of one client connection: from bytes to a queue. Reads no socket and no clock."""

from collections.abc import Sequence
from enum import Enum, auto

from gateway.core.errors import BadRequest, Refusal
from gateway.core.request import Client
from gateway.proxy.downstream.assembler import ParsedRequest, RequestAssembler
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.http1.normalise import may_be_normalised, normalise
from gateway.proxy.http1.parser import (
    NOTHING,
    HttpProcessingError,
    HttpProtocol,
    RawRequestMessage,
    StreamReader,
    refusal_for,
)
from gateway.proxy.http1.strict import has_lost_body
from gateway.proxy.tunnel.upgrade import may_switch

MAX_QUEUED = 15
"""Requests that wait for the one that is being served; then reading stops."""


class ReadState(Enum):
    """
    What becomes of the next bytes of the client.

    ``OPEN`` leads to each of the others, and all lead to ``STOPPED``. After a tunnel, ``UPGRADE``
    becomes ``ENDED`` if the client has closed its side, else ``STOPPED``. If the upgrade is
    ignored, ``UPGRADE`` becomes ``OPEN``, or ``ENDED`` after the client's last request.
    """

    OPEN = auto()
    """They belong to a request."""
    ENDED = auto()
    """They are ignored: the client said that the request before them is its last."""
    UPGRADE = auto()
    """They stay unread: the client asked to upgrade, so they are for the tunnel."""
    STOPPED = auto()
    """They are dropped: where the next request begins would be a guess."""


_OPEN = ReadState.OPEN


class RequestReader:
    """
    Feeds the parser with one part of one message at a time, and queues what comes out.

    `feed` says whether reading may go on; the connection pauses its transport, and serves what is
    in `queue`. The parser stands in the connection, whose flow control pauses it (aiohttp's way),
    so `feed` is handed the connection: a reader that kept it would be a reference cycle.
    """

    __slots__ = (
        "_assembler",
        "_head_bytes",
        "_is_body_awaited",
        "_is_body_read",
        "_loop",
        "_method",
        "_parsed",
        "_queued_bytes",
        "_refused",
        "_unparsed",
        "body",
        "early_data",
        "is_holding",
        "is_serving",
        "is_taking_body",
        "peer",
        "queue",
        "refused_head",
        "splitter",
        "state",
    )

    peer: Client
    """The other end; set when the connection is made."""

    def __init__(self, server: ProxyServer) -> None:
        self._assembler = RequestAssembler(server.limits, server.lines, server.next_request_id)
        self.splitter = self._assembler.splitter
        """Where in a message the next byte is."""
        self._head_bytes = server.limits.head_bytes
        self._loop = server.loop
        self.state = _OPEN
        self.queue: list[ParsedRequest | Refusal] = []  # a deque takes 600 bytes
        self._queued_bytes = 0
        """Of the heads in ``queue``, and of those taken from it since it was empty."""
        self.is_serving = False
        """Whether the request that was taken from ``queue`` last is still being served."""
        self.body: StreamReader = NOTHING
        """Body of the request that was parsed last."""
        self._is_body_read = False
        """Whether the parser has all of ``body``."""
        self._is_body_awaited = False
        """Whether ``body`` is wanted: before that, no chunk of it and no long one is looked at."""
        self.is_taking_body = False
        """Whether the next bytes belong to a body that is being forwarded."""
        self._unparsed = b""
        """What is not parsed yet; see `feed`."""
        self.is_holding = False
        """Whether there is something that a call of `feed` could parse later on."""
        self._parsed: Sequence[tuple[RawRequestMessage, StreamReader]] = ()
        self._method = ""
        """The method of the head under way, where the parser got another in its place."""
        self._refused: Refusal | None = None
        """What the parser has against the head under way, which may be valid; see `normalise`."""
        self.early_data = b""
        """What came behind a request to upgrade, in the same read."""
        self.refused_head = b""
        """The head that was refused unparsed, as far as it came: no other follows it."""

    # --- what the connection asks --------------------------------------------------------------

    @property
    def is_stopped(self) -> bool:
        """Whether bytes that are no part of a request may be on their way."""
        return self.state is ReadState.STOPPED or self.state is ReadState.UPGRADE

    def is_full(self) -> bool:
        """
        Whether the queue is full: of requests, their bytes, or bodies that wait for their turn.

        A parsed head takes some four times its bytes: those that wait are up to ``head_bytes`` and
        one more, whatever their number. Each body would take 128 KiB: it waits until its request is
        next. Chunks and long bodies are not even looked at before their request is admitted: they
        cost more than other bodies, and limits come before cost.
        """
        waiting, splitter = len(self.queue), self.splitter
        if splitter.is_in_head:
            return waiting >= MAX_QUEUED or (waiting > 0 and self._queued_bytes >= self._head_bytes)
        return waiting > (0 if self.is_serving else 1) or (
            not self._is_body_awaited and (splitter.has_long_body or splitter.has_chunks)
        )

    # --- from bytes to the queue ---------------------------------------------------------------

    def take_whole(self, data: bytes) -> ParsedRequest | None:
        """
        Take the request in ``data``, if it is one that needs no parser: it is served next.

        ``data`` is all of a read, between messages, while nothing is queued.
        """
        request = None if self._unparsed else self._assembler.read_whole(data, self.peer)
        if request is not None:
            self.body, self.is_serving = request[2], True
        return request

    def feed(self, data: bytes, protocol: HttpProtocol) -> bool:
        """
        Queue the requests that ``data`` completes; return whether more may be read.

        What may not be parsed yet is kept, and comes first the next time: what came behind a body
        that is not taken, behind as many requests as may wait, and all but the first chunks if
        there are many, so that one call does not take long.
        """
        splitter = self.splitter
        if data and not splitter.is_in_head:
            splitter.begin_body_read()
        data, self._unparsed, self.is_holding = self._unparsed + data, b"", False
        while data or not splitter.is_in_head:
            if self.is_full():
                self._unparsed, self.is_holding = data, True
                return False
            if splitter.is_in_head:
                data = self._read_head(data, protocol)
            else:
                data = self._read_body(data, protocol)
            if not data or self.state is not _OPEN:
                return not self.is_holding and self.state is not ReadState.UPGRADE
        return True

    def await_body(self, protocol: HttpProtocol) -> None:
        """Note that ``body`` is wanted from now on; let ``protocol`` parse what came before."""
        self._is_body_awaited = True
        self.is_taking_body = not self.splitter.is_in_head
        if self.is_holding:
            protocol.data_received(b"")

    def next(self) -> ParsedRequest | Refusal:
        """Take what is served next from the queue, which is not empty."""
        self.is_serving = True
        return self.queue.pop(0)

    def reject(self, refusal: Refusal, head: bytes = b"") -> None:
        """
        Queue ``refusal`` as the answer to bytes that are no request; parse nothing more.

        ``head`` is what came of a head, where they are one.
        """
        self.state, self.refused_head = ReadState.STOPPED, head
        if self.body.is_eof():
            self.queue.append(refusal)
        else:
            self.body.set_exception(refusal)  # the fault is in a body that is being forwarded
            # Again, as aiohttp's reader (3.14.5) does not look at it when the end of a chunk has
            # just woken it: it waits once more.
            self._loop.call_soon(self.body.set_exception, refusal)

    def _read_head(self, data: bytes, protocol: HttpProtocol) -> bytes:
        """Parse what belongs to the head that is under way; return the rest."""
        end = self.splitter.head_end(data)
        if end is None:
            self._read_begun_head(data, protocol)
            return b""
        part, rest, begun = data[:end], data[end:], self.splitter.partial_head
        head_bytes = len(begun) + end
        if self._refused is not None or not self._parse_head(part, protocol):
            part = self._parse_other_form(part, protocol)
            if not part:
                return b""
        if not self._parsed:
            self.reject(BadRequest("empty head"))
            return b""
        ((message, self.body),), self._parsed = self._parsed, ()
        if self._method:
            message, self._method = message._replace(method=self._method), ""
        if message.upgrade and not may_switch(message.method, message.version, message.headers):
            message = message._replace(upgrade=False)
        self._is_body_awaited = False
        request = self._assembler.assemble(message, self.body, part, self.peer)
        self._queued_bytes = self._queued_bytes + head_bytes if self.queue else head_bytes
        self.queue.append(request)
        if isinstance(request, Refusal):
            self.state, self.refused_head = ReadState.STOPPED, begun + part
        elif message.upgrade:
            self.early_data, self.state = rest, ReadState.UPGRADE
        elif self._assembler.has_ended:
            self.state = ReadState.ENDED
        return rest

    def _read_body(self, data: bytes, protocol: HttpProtocol) -> bytes:
        """
        Parse what belongs to the body that is under way; return the rest.

        The parser holds some back while the body is not taken: fed with nothing, it goes on.
        """
        assembler, rest = self._assembler, b""
        if self.splitter.has_long_body:
            return self._read_long_body(data, protocol)
        if self._is_body_read:
            data, rest = b"", data
        else:
            data, rest, self._is_body_read = self.splitter.body_part(data)
        has_chunks = self.splitter.has_chunks
        if has_chunks and (refusal := assembler.size_refusal()) is not None:
            self.reject(refusal)
            return b""
        if not self._parse(data, protocol):
            return b""
        if not self.body.is_eof():
            self._unparsed, self.is_holding = rest, bool(rest) and not self._is_body_read
            return b""
        if has_chunks:
            protocol.drop_parser()  # it would make a trailer a field of the next message
        self._end_body()
        return rest

    def _read_long_body(self, data: bytes, protocol: HttpProtocol) -> bytes:
        """Take what belongs to a long body past the parser; return the rest."""
        data, rest, is_last = self.splitter.body_part(data)
        self.body.feed_data(data)
        if is_last:
            self.body.feed_eof()
            protocol.drop_parser()  # it still waits for the body
            self._end_body()
        return rest

    def _end_body(self) -> None:
        """Note that all of the body has come."""
        self._assembler.end_body()
        self._is_body_read = self.is_taking_body = False
        if self._assembler.has_ended:
            self.state = ReadState.ENDED

    def _read_begun_head(self, data: bytes, protocol: HttpProtocol) -> None:
        """Parse a part of a head; one that the parser has refused is kept if it may be valid."""
        if self._refused is None:
            self._parse_head(data, protocol)
        refusal = self._refused
        if refusal is None or may_be_normalised(self.splitter.partial_head):
            refusal = BadRequest("head") if self._parsed else self._assembler.size_refusal()
        if refusal is not None:
            self.reject(refusal, self.splitter.partial_head)

    def _parse_head(self, data: bytes, protocol: HttpProtocol) -> bool:
        """Feed the parser; keep its refusal, as the head may have another form."""
        try:
            self._parsed, _, _ = protocol.request_parser(self._head_bytes).feed_data(data)
        except HttpProcessingError as error:
            self._refused = refusal_for(error)
        if self._parsed and has_lost_body(self._parsed[0][0]):
            self._refused, self._parsed = BadRequest("transfer coding"), ()
        if self._refused is not None:
            protocol.drop_parser()
        return self._refused is None

    def _parse_other_form(self, part: bytes, protocol: HttpProtocol) -> bytes:
        """
        Parse a whole head, of which ``part`` is the last, in another form than was refused.

        Returns the head; empty if it is rejected.
        """
        splitter, refused = self.splitter, self._refused
        head = splitter.partial_head + part
        normalised = normalise(head)
        splitter.partial_head, self._refused = b"", None
        if normalised is None or not self._parse_head(normalised.parsable, protocol):
            self.reject(refused or BadRequest("head"), head)
            return b""
        self._method = normalised.method
        return normalised.raw

    def _parse(self, data: bytes, protocol: HttpProtocol) -> bool:
        """Feed the parser; return whether it accepts ``data``."""
        try:
            self._parsed, _, _ = protocol.request_parser(self._head_bytes).feed_data(data)
        except HttpProcessingError as error:
            self.reject(refusal_for(error))
            return False
        return True

    def ignore_upgrade(self) -> None:
        """Take what came behind a request to upgrade for the next request: HTTP/1.1 goes on."""
        self._unparsed, self.early_data = self.early_data, b""
        self.state = ReadState.ENDED if self._assembler.has_ended else _OPEN

    # --- ends ----------------------------------------------------------------------------------

    def stop(self) -> None:
        """Drop what the client still sends."""
        self.state = ReadState.STOPPED

    @property
    def keeps_head(self) -> bool:
        """Whether there is anything that `forget_head` would free."""
        return self._assembler.keeps_head

    def forget_head(self) -> None:
        """Free what is kept of the last head, while the connection is idle."""
        self._assembler.forget()

    def discard(self) -> None:
        """Drop all that was read: bodies refer to the connection, which is lost."""
        self.state = ReadState.STOPPED
        self.queue.clear()
        self.body, self._unparsed, self._parsed = NOTHING, b"", ()
        self.is_holding, self.refused_head = False, b""
