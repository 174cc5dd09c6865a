"""
One connection from a client: requests in, answers out, in order.

An idle connection holds no task. Requests that have arrived are served one after the other by one
task; pipelined ones wait in the parser's bounded queue.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from math import inf
from time import perf_counter

from gateway.client_ip import caller, parse_address
from gateway.errors import (
    BadRequest,
    HeadTooLarge,
    InternalError,
    Overloaded,
    Refusal,
    RequestTimeout,
    UnsupportedUpgrade,
    UnsupportedVersion,
)
from gateway.messages import Caller, Journey, RequestHead
from gateway.problems import problem
from gateway.proxy.answers import serialise_reply
from gateway.proxy.exchange import Exchange
from gateway.proxy.head_meter import HeadMeter
from gateway.proxy.http1 import (
    MAX_PIPELINED,
    HttpProcessingError,
    HttpProtocol,
    RawRequestMessage,
    RequestParser,
    StreamReader,
    refusal_for,
    request_parser,
)
from gateway.proxy.parting import ClientGone, Version, cut, finish
from gateway.proxy.plane import DataPlane, Site
from gateway.proxy.strictness import judge, oversize
from gateway.proxy.tasks import start

_log = logging.getLogger(__name__)

_Parsed = tuple[RawRequestMessage, StreamReader]

_LINGER_S = 2.0
"""How long a client that is still sending may read our answer before the connection goes."""

_MAX_QUEUED = MAX_PIPELINED - 1  # one more is being served

_LAST_ANSWERS = BadRequest | RequestTimeout | Overloaded | UnsupportedVersion | UnsupportedUpgrade
"""After these, what the client sends next may be anything."""

_CLIENT_GONE = 499
"""nginx's status for a client that left before the answer; for the log alone."""


class _Phase(Enum):
    """What a connection waits for."""

    HEAD = auto()
    IDLE = auto()
    """The next request, on a connection that has had one."""
    SERVING = auto()
    LINGERING = auto()
    """Nothing but the client's end: the last answer is sent, what still comes is dropped."""


class ClientConnection(HttpProtocol):
    """Speaks HTTP/1 with one client; also what an `Exchange` knows of it."""

    peer: Caller

    __slots__ = (
        "_body",
        "_close_after",
        "_is_deaf",
        "_is_serving",
        "_keeps_alive",
        "_meter",
        "_method",
        "_phase",
        "_plane",
        "_queue",
        "_read_deadline_s",
        "_request_id",
        "_task",
        "_write_deadline_s",
        "bytes_out",
        "has_answered",
        "peer",
        "site",
        "status",
        "version",
    )

    def __init__(self, plane: DataPlane) -> None:
        super().__init__(plane.loop)
        self._plane = plane
        self._parser: RequestParser = request_parser(self, plane.loop, plane.bounds.head_bytes)
        self._queue: deque[_Parsed | Refusal] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_serving = False
        self._body: StreamReader | None = None
        """Of the request that was parsed last."""
        self._meter = HeadMeter(plane.bounds.head_bytes)
        self._phase = _Phase.HEAD
        self._is_deaf = False
        """Nothing more is parsed: after a breach of the grammar, where messages end is a guess."""
        self._method = ""
        self._read_deadline_s = self._write_deadline_s = inf
        self._close_after = False
        self._keeps_alive = True
        self._request_id = ""
        self.version = (1, 1)
        self.has_answered = False
        self.status = self.bytes_out = 0
        self.site: Site | None = None

    # --- events of the socket ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peername = transport.get_extra_info("peername")
        if not peername:  # reset before we accepted it: nobody is there to be served or logged
            self.abort()
            return
        self.peer = caller(parse_address(peername[0].partition("%")[0]))
        if not self._plane.admit_connection(self):
            self._refuse(Overloaded(), None)
            self._shut()
            return
        self._read_deadline_s = self._plane.loop.time() + self._plane.bounds.head_s

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._phase is _Phase.IDLE and data:
            self._phase = _Phase.HEAD
            self._read_deadline_s = self._plane.loop.time() + self._plane.bounds.head_s
        body = self._body
        was_in_body = body is not None and not body.is_eof()
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._reject(refusal_for(error))
            return
        if upgraded:
            self._is_deaf = True
        if messages:
            self._take(messages, len(data))
        elif body is not None and was_in_body and self._meter.body_went_on(body):
            return
        elif self._meter.exceeds(len(data)):
            self._reject(HeadTooLarge("head, trailers or chunk extensions grew over the limit"))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._plane.forget_connection(self)
        self._is_deaf = True
        super().connection_lost(exc)
        if self._task is not None:
            self._task.cancel()

    def check_deadline(self, now_s: float) -> None:
        """Give up a client that neither sends nor reads."""
        if now_s >= self._write_deadline_s:
            self.abort()
        elif now_s >= self._read_deadline_s:
            self._read_deadline_s = inf
            self._expire()

    def _expire(self) -> None:
        if self._phase is _Phase.SERVING:
            if self._body is not None:
                self._body.set_exception(RequestTimeout("idle body"))
        elif self._phase is _Phase.HEAD and self._meter.pending_bytes:
            self._reject(RequestTimeout("slow head"))
        elif self.transport is not None:
            self.transport.abort() if self._phase is _Phase.LINGERING else self._close()

    # --- from the parser to the task -----------------------------------------------------------

    def _take(self, messages: list[_Parsed], size: int) -> None:
        self._body = body = messages[-1][1]
        may_be_long = self._meter.complete(size, body.total_bytes)
        for parsed in messages:
            too_much = oversize(parsed[0], self._plane.bounds, may_be_long=may_be_long)
            self._queue.append(too_much or parsed)
        if len(self._queue) >= _MAX_QUEUED:
            self._pause_reading_for_buffer()
        if not self._is_serving:
            self._begin()

    def _reject(self, refusal: Refusal) -> None:
        """Answer bytes that are no request, after the requests before them; then close."""
        self._is_deaf = True
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(refusal)  # the breach is in a body that is being forwarded
            return
        self._queue.append(refusal)
        if not self._is_serving:
            self._begin()

    def _begin(self) -> None:
        self._phase, self._is_serving = _Phase.SERVING, True  # before an eager task begins
        self._read_deadline_s = inf
        task = start(self._plane.loop, self._serve())
        self._task = None if task.done() else task

    async def _serve(self) -> None:
        try:
            while self._queue and self.transport is not None and not self._close_after:
                entry = self._queue.popleft()
                if isinstance(entry, Refusal):
                    self._answer_unparsed(entry)
                else:
                    await self._serve_one(*entry)
                    self._parser.message_consumed()
                if self._paused and not self._close_after:
                    await self.drain()  # else whoever asks and does not read fills the memory
                if self._buffer_paused:
                    self._refill()
        except ClientGone:
            return
        finally:
            self._task, self._is_serving = None, False
        self._rest()

    def _refill(self) -> None:
        """Take what the parser held back while the queue was full."""
        self.data_received(b"")
        if len(self._queue) < _MAX_QUEUED:
            self._resume_reading_for_buffer()

    def _rest(self) -> None:
        """Wait for the next request, or end."""
        if self.transport is None:
            return
        if self._close_after or self._plane.is_draining:
            self._shut()
            return
        bounds = self._plane.bounds
        is_in_head = self._meter.pending_bytes > 0
        self._phase = _Phase.HEAD if is_in_head else _Phase.IDLE
        wait_s = bounds.head_s if is_in_head else bounds.keep_alive_s
        self._read_deadline_s = self._plane.loop.time() + wait_s

    # --- one request ---------------------------------------------------------------------------

    async def _serve_one(self, message: RawRequestMessage, body: StreamReader) -> None:
        plane, journey = self._plane, Journey()
        head = self._begin_request(message)
        started_s = perf_counter()  # the loop of uvloop counts whole milliseconds
        try:
            self.site = site = plane.site  # a reload swaps it: one request is judged by one
            framing = judge(message, site.max_body_bytes)
            outbound = await site.admit(head, journey)
            await Exchange(self, outbound, framing, body, site).run()
        except Refusal as refusal:
            self._refuse(refusal, journey)
        except (asyncio.CancelledError, ClientGone) as error:
            self.status = self.status or _CLIENT_GONE
            journey.refusal = "client_gone"
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception:  # noqa: BLE001 (a fault of ours must still be answered and logged)
            _log.exception("request %s failed", head.request_id)
            self._refuse(InternalError(), journey)
        finally:
            self.site = None
            if not body.is_eof():
                self._close_after = True
            plane.log(head, journey, self.status, self.bytes_out, perf_counter() - started_s)

    def _begin_request(self, message: RawRequestMessage) -> RequestHead:
        self._request_id = request_id = self._plane.next_request_id()
        self.version = version = message.version
        self.has_answered = False
        self.status = self.bytes_out = 0
        self._method = message.method
        self._keeps_alive = not message.should_close
        fields = message.headers, message.raw_headers
        return RequestHead(message.method, message.path, version, *fields, self.peer, request_id)

    # --- answers -------------------------------------------------------------------------------

    def _refuse(self, refusal: Refusal, journey: Journey | None) -> None:
        code, reply = problem(refusal, self._request_id)
        if journey is not None:
            journey.refusal, journey.reason = code, refusal.reason
        if self.has_answered:
            self._close_after = True
            self._close(cut)
            return
        is_sending = self._body is not None and not self._body.is_eof()
        if is_sending or isinstance(refusal, _LAST_ANSWERS):
            self._close_after = True
        head, body = serialise_reply(reply, self._plane.http_date())
        self.begin_answer(reply.status, head, b"" if self._method == "HEAD" else body)

    def _answer_unparsed(self, refusal: Refusal) -> None:
        self._request_id = self._plane.next_request_id()
        self.version, self.has_answered, self._close_after = (1, 1), False, True
        self.bytes_out, self._method = 0, ""
        journey = Journey(client=self.peer.text, request_id=self._request_id)
        self._refuse(refusal, journey)
        self._plane.log(None, journey, self.status, self.bytes_out, 0.0)

    def begin_answer(self, status: int, head: bytes, body: bytes) -> None:
        """Send a head (without its empty line), what this hop adds, and a first part of body."""
        self.status, self.has_answered = status, True
        if self._plane.is_draining or not self._keeps_alive:
            self._close_after = True
        if self._close_after:
            hop = b"\r\nConnection: close\r\n\r\n"
        elif self.version < (1, 1):
            hop = b"\r\nConnection: keep-alive\r\n\r\n"
        else:
            hop = b"\r\n\r\n"
        request_id = self._request_id.encode("ascii")
        data = b"".join((head, b"X-Request-Id: ", request_id, hop, body))
        self._plane.outbox.write_soon(self._to(data), data)

    def write(self, data: bytes) -> None:
        """Send more. Raises `ClientGone`."""
        self._plane.outbox.write(self._to(data), data)

    def _to(self, data: bytes) -> asyncio.Transport:
        if self.transport is None:
            raise ClientGone
        self.bytes_out += len(data)
        return self.transport

    async def drain(self) -> None:
        """Wait until the client keeps up. Raises `ClientGone`."""
        self._write_deadline_s = self._plane.loop.time() + self._plane.bounds.body_idle_s
        try:
            await self._drain_helper()
        except ConnectionError as error:
            raise ClientGone from error
        finally:
            self._write_deadline_s = inf

    async def read_body(self, body: StreamReader) -> bytes:
        """The next part of the body; empty at its end. Raises `RequestTimeout`, `BadRequest`."""
        self._read_deadline_s = self._plane.loop.time() + self._plane.bounds.body_idle_s
        try:
            return await body.readany()
        except RuntimeError as error:  # aiohttp's word for a connection that is gone
            raise BadRequest("the client left in the middle of the body") from error
        finally:
            self._read_deadline_s = inf

    def close_after_answer(self) -> None:
        """This answer is the connection's last."""
        self._close_after = True

    # --- ends ----------------------------------------------------------------------------------

    def finish_soon(self) -> None:
        """Drain: close now if idle, else after the answer that is under way."""
        if self._task is None and self._phase is not _Phase.LINGERING:
            self._shut()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._is_deaf = True
        if self.transport is not None:
            self.transport.abort()

    def _close(self, how: Callable[[asyncio.Transport, Version], None] = finish) -> None:
        """Close when all is sent; a client that does not take it in time is cut off."""
        self._write_deadline_s = self._plane.loop.time() + self._plane.bounds.body_idle_s
        if self.transport is not None:
            self._plane.outbox.flush()
            how(self.transport, self.version)

    def _shut(self) -> None:
        """
        Close after the last answer; where the client is still sending, let it read first.

        Closing with unread bytes in the socket resets the connection, and the reset overtakes the
        answer (RFC 9112 section 9.6).
        """
        if self.transport is None or self.transport.is_closing():
            return
        is_sending = self._is_deaf or (self._body is not None and not self._body.is_eof())
        if not is_sending:
            self._close()
            return
        self._is_deaf, self._phase = True, _Phase.LINGERING
        self._read_deadline_s = self._plane.loop.time() + _LINGER_S
        self._resume_transport_reading()
        self._plane.outbox.flush()
        self.transport.write_eof()
