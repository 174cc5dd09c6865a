"""Connections to an app: a request out, its answer in."""

import asyncio
from collections.abc import Callable, Sequence
from math import inf

from gateway.core.errors import (
    BadUpstreamAnswer,
    Refusal,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.headers.answer_lines import AnswerHeads
from gateway.proxy.http1.bodiless import WITHOUT_BODY, HeadEnds, announces_body, may_lack_body
from gateway.proxy.http1.parser import (
    BODY_BUFFER_BYTES,
    HttpProcessingError,
    HttpProtocol,
    RawResponseMessage,
    ResponseParser,
    StreamReader,
    response_parser,
)
from gateway.proxy.http1.strict import response_fault
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.answer import Answer, KnownHead, ResponseHead
from gateway.proxy.upstream.known_answer import BegunAnswer, LengthlessAnswer, known_answer
from gateway.proxy.upstream.length_body import LengthBody
from gateway.util.deadlines import Deadlines

_FIRST_FINAL_STATUS = 200
_MAX_HELD_BYTES = 2 * BODY_BUFFER_BYTES
_SWITCHING_PROTOCOLS = 101

Interim = Callable[[RawResponseMessage], None]
"""Handles a 1xx answer, which precedes the final one."""


_PROTOCOL = b"HTTP/1."


class UpstreamConnection(HttpProtocol):
    """One connection to an app; serves one exchange at a time."""

    __slots__ = (
        "_answer",
        "_answers_head",
        "_body",
        "_deadline_s",
        "_deadlines",
        "_had_chunks",
        "_has_strayed",
        "_head_ends",
        "_heads",
        "_interim",
        "_is_at_head",
        "_is_unusable",
        "_on_lost",
        "_on_stray",
        "_splits_heads",
        "_uses_parser",
        "_write_batcher",
        "_write_deadline_s",
        "final_seen",
        "has_answered",
        "holder",
        "idle_since_s",
        "lacks_body",
        "tail",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        write_batcher: WriteBatcher,
        on_lost: "Callable[[UpstreamConnection], None]",
        on_stray: "Callable[[UpstreamConnection], None] | None" = None,
    ) -> None:
        """``on_stray`` is called once if bytes come that belong to no answer."""
        super().__init__(loop)
        self._parser: ResponseParser
        """While there is a connection: parser and connection refer to each other."""
        self._deadlines = deadlines
        self._write_batcher = write_batcher
        self._on_lost = on_lost
        self._on_stray = on_stray
        self._has_strayed = False
        self._answer: asyncio.Future[Answer] | None = None
        self._body: StreamReader | LengthBody | None = None
        self._interim: Interim | None = None
        self._deadline_s = inf
        """By when the app has to send something."""
        self._write_deadline_s = inf
        """By when the app has to take what was written."""
        self._is_at_head = False
        """Whether the next byte is the first of an answer."""
        self._answers_head = False
        """Whether the request under way is HEAD."""
        self._splits_heads = False
        """Whether heads are parsed apart from what follows: the answer may have no body."""
        self._uses_parser = False
        """Whether bytes of the exchange under way went to the parser."""
        self._head_ends = HeadEnds()
        self._had_chunks = False
        self._heads: AnswerHeads | None = None
        """What knows heads that need no parser; None to parse every head."""
        self.final_seen = False
        """Whether the final answer has begun; 1xx answers do not count."""
        self._is_unusable = False
        self.lacks_body = False
        """Whether the last answer ended with its head (HEAD, 204, 304; RFC 9112 section 6.3)."""
        self.has_answered = False
        self.holder: str | None = None
        """The client whose request it serves; see `gateway.proxy.upstream.fair_share`."""
        self.idle_since_s = 0.0
        """When its last exchange ended; 0 before the first."""
        self.tail = b""
        """What came after a 101: bytes of the new protocol."""

    # --- one exchange --------------------------------------------------------------------------

    def ask(
        self,
        request: bytes,
        method: str,
        interim: Interim,
        heads: AnswerHeads | None = None,
        body: Sequence[bytes] = (),
    ) -> "asyncio.Future[Answer]":
        """
        Send the head of a request, and what there is of its body.

        With ``heads`` the answer may need no parser.

        The future gets the answer's head, or `UpstreamUnreachable`, `UpstreamTimeout` or
        `BadUpstreamAnswer`.
        """
        if method == "HEAD":
            self._parser = response_parser(self, self._loop, answers_head=True)
            self._answers_head = True
            self._is_unusable = True  # a body in spite of HEAD would be the next answer
        self._interim, self._heads = interim, heads
        self.final_seen = self.has_answered = False
        self._is_at_head, self._uses_parser = True, False
        self._answer = answer = self._loop.create_future()
        if self.transport is not None:
            write = self._write_batcher
            if body:
                write.write_all(self.transport, (request, *body))
            else:
                write.write_soon(self.transport, request)
        return answer

    def write(self, data: bytes) -> None:
        """Send more of the request; the answer's future gets the error of a lost connection."""
        if self.transport is not None:
            self._write_batcher.write(self.transport, data)

    def expect_within(self, seconds: float) -> None:
        """Fail the exchange if the app sends nothing for ``seconds``; ``inf`` switches that off."""
        self._deadline_s = self._loop.time() + seconds

    async def drain_within(self, seconds: float) -> None:
        """
        Wait until the app has taken what was written; fail the exchange after ``seconds``.

        Raises `UpstreamUnreachable`.
        """
        self._write_deadline_s = self._loop.time() + seconds
        try:
            await self._drain_helper()
        except ConnectionError as error:
            reason = type(error).__name__
            raise UpstreamUnreachable(reason) from error.with_traceback(None)
        finally:
            self._write_deadline_s = inf

    def fail(self, refusal: Refusal) -> None:
        """End the exchange: a reader of the head or the body gets ``refusal``."""
        self._is_unusable = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(refusal)
        elif self._body is not None and not self._body.is_eof():
            self._body.set_exception(refusal)
        if self.transport is not None:
            self.transport.abort()

    def finish(self) -> bool:
        """End the exchange; return whether the connection may serve another."""
        clean = (
            not self._is_unusable
            and self.transport is not None
            and self.final_seen
            and not self._paused  # else the app has answered before it took the request
            and (self._body is None or self._body.is_eof())
            and (not self._uses_parser or self._is_between_messages())
        )
        answer = self._answer
        if not clean and answer is not None and not (answer.cancel() or answer.cancelled()):
            answer.exception()  # retrieved, so that asyncio does not log it
        if clean and self._had_chunks:
            # aiohttp's parser (3.14.5) would make the last trailer a field of the next answer.
            self._parser, self._had_chunks = response_parser(self, self._loop), False
        if clean and isinstance(self._body, LengthBody):
            self._body.read_nowait()  # its client may have left before: reading goes on
        self._answer = self._body = self._interim = None
        self._deadline_s = inf
        return clean

    def _is_between_messages(self) -> bool:
        """Return whether no part of a further answer has come: the next caller would get it."""
        try:
            return self._parser.feed_eof() is None
        except HttpProcessingError:
            return False

    # --- events --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._parser = response_parser(self, self._loop)
        self._deadlines.watch(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            if data:  # no request is under way: the next one must not get this
                self._note_stray()
                self.abort()
            return
        is_at_head, self._is_at_head = self._is_at_head, False
        if is_at_head:
            if self._take_known(self._answer, data):
                return
            # The parser skips bytes and hides the protocol.
            if not data.startswith(_PROTOCOL[: len(data)]):
                self._refuse_first_bytes()
                return
            self._splits_heads = self._answers_head or may_lack_body(data)
        elif isinstance(self._body, LengthBody):
            data = self._feed(self._body, data)
            if not data:
                return
        self._uses_parser = True
        if self._splits_heads:
            self._parse_heads(data)
        else:
            self._parse(data)

    def _refuse_first_bytes(self) -> None:
        """Fail: the app speaks no HTTP, or these bytes belong to the answer before."""
        if self.idle_since_s:
            self._note_stray()
            self.fail(UpstreamUnreachable("bytes of no answer"))
        else:
            self.fail(BadUpstreamAnswer("not HTTP/1"))

    def _parse(self, data: bytes) -> bool:
        """Parse ``data``; return whether what follows it is HTTP, too."""
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self.fail(BadUpstreamAnswer(type(error).__name__))
            return False
        for message, body in messages:
            self._take(message, body)
        if upgraded:  # the exchange knows whether it was asked for
            self._is_unusable, self.tail = True, tail
            self._pause_transport_reading()
        return not upgraded

    def _parse_heads(self, data: bytes) -> None:
        """
        Parse each head by itself; drop what follows an answer that has no body.

        Some apps send a body in spite of HEAD, 204 or 304 (Django on waitress). The parser would
        take it for a further answer and reject all of ``data``, the head included.
        """
        end = 0
        while end < len(data) and not self.final_seen:
            start, end = end, self._head_ends.find(data, end)
            if not self._parse(data[start:end]):
                self.tail += data[end:]
                return
        if not self.final_seen or end == len(data):
            return
        if self.lacks_body:
            self._is_unusable = True
            self._note_stray()
        else:
            self._splits_heads = False
            self._parse(data[end:])

    def _note_stray(self) -> None:
        if not self._has_strayed and self._on_stray is not None:
            self._has_strayed = True
            self._on_stray(self)

    def _take_known(self, answer: "asyncio.Future[Answer]", data: bytes) -> bool:
        """Handle ``data`` if it is an answer that needs no parser; return whether it is."""
        if self._heads is None or self._is_unusable or answer.done():
            return False
        known = known_answer(data, self._heads)
        if known is None:
            return False
        self.has_answered = self.final_seen = True
        self.lacks_body = isinstance(known, LengthlessAnswer) and known.body is None
        self._splits_heads = self.lacks_body  # what follows belongs to no answer
        self._deadline_s = inf
        if isinstance(known, BegunAnswer):
            head, length_line, length, begun = known
            self._body = body = LengthBody(self._loop, length)
            self._feed(body, begun)
            answer.set_result(KnownHead(head, length_line, body))
        else:
            answer.set_result(known)
        return True

    def _feed(self, body: LengthBody, data: bytes) -> bytes:
        """Add ``data`` to the body under way; return what lies behind its end."""
        behind = body.feed(data)
        if body.held_bytes > _MAX_HELD_BYTES:
            self._pause_transport_reading()
            body.resume_with(self._resume_transport_reading)
        return behind

    def _take(self, message: RawResponseMessage, body: StreamReader) -> None:
        answer = self._answer
        if answer is None or answer.done() or self.final_seen:
            self._is_unusable = True  # a second final answer to one request
            return
        self.has_answered = True
        if (reason := response_fault(message)) is not None:
            self.fail(BadUpstreamAnswer(reason))
            return
        if message.code < _FIRST_FINAL_STATUS and message.code != _SWITCHING_PROTOCOLS:
            self._forward_interim(message)
            return
        self.final_seen = True
        self._is_unusable = self._is_unusable or message.should_close
        self.lacks_body = self._answers_head or message.code in WITHOUT_BODY
        if self.lacks_body:
            # The body that is announced may follow after all: the next caller must not get it.
            self._is_unusable = self._is_unusable or announces_body(message.headers)
        self._body = body
        self._had_chunks = message.chunked
        self._deadline_s = inf
        whole = body.read_nowait() if body.is_eof() else None
        answer.set_result(ResponseHead(message, body, whole))

    def _forward_interim(self, interim: RawResponseMessage) -> None:
        try:
            if self._interim is not None:
                self._interim(interim)
        except Refusal as refusal:
            self.fail(refusal)

    def eof_received(self) -> None:
        """Handle the app's end: an answer that ends by closing is complete, any other is broken."""
        self._is_unusable = True
        if self._body is None or self._body.is_eof():
            return
        if isinstance(self._body, LengthBody):
            self._body.set_exception(UpstreamUnreachable("closed in the middle of the body"))
            return
        size = -1
        while not self._body.is_eof() and self._body.total_bytes != size:
            size = self._body.total_bytes  # what the parser kept while it was paused
            self.data_received(b"")
        if self._body.is_eof():
            return
        try:
            self._parser.feed_eof()
        except HttpProcessingError:
            self._body.set_exception(UpstreamUnreachable("closed in the middle of the body"))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._deadlines.forget(self)
        super().connection_lost(exc)
        reason = "closed" if exc is None else type(exc).__name__
        self.fail(UpstreamUnreachable(reason))
        # The parser refers to this connection: the memory of both would wait for the collector.
        self.drop_parser()
        self._reading_paused = self._buffer_paused = False  # nothing is left to resume
        self._on_lost(self)

    def check_deadline(self, now_s: float) -> None:
        if now_s >= min(self._deadline_s, self._write_deadline_s):
            self._deadline_s = self._write_deadline_s = inf
            self.fail(UpstreamTimeout("idle body" if self.final_seen else "no answer"))

    def mark_unusable(self) -> None:
        """Serve no other exchange after this one."""
        self._is_unusable = True

    def abort(self) -> None:
        """Close at once."""
        self._is_unusable = True
        if self.transport is not None:
            self.transport.abort()
