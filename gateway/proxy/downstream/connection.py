"""
One connection from a client: serves its requests in order, and closes it in time.

A connection is an asyncio protocol with two parts: `RequestReader` turns bytes into a queue of
requests, `ResponseWriter` turns answers into bytes. The connection joins them. It has the phase,
the task that serves the queue, and the deadline for what the client sends. An idle connection has
no task.
"""

import asyncio
from math import inf

from gateway.core.errors import BadRequest, Overloaded, Refusal, RequestTimeout
from gateway.core.problem import fields_beside, problem_of
from gateway.core.record import RequestRecord
from gateway.core.request import Client, ReceivedLines, Reply, RequestHead
from gateway.proxy.downstream.accepted import AcceptedConnection, client_of
from gateway.proxy.downstream.assembler import ParsedRequest
from gateway.proxy.downstream.phase import Phase
from gateway.proxy.downstream.reader import ReadState, RequestReader
from gateway.proxy.downstream.serve import Begun, abandon, begin, finish
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.downstream.writer import ResponseWriter
from gateway.proxy.http1.close import ENDS_CONNECTION, LINGER_S, ClientGone, LingeringClose
from gateway.proxy.http1.min_rate import MinimumRate
from gateway.proxy.http1.parser import HttpProtocol, StreamReader
from gateway.proxy.http1.unparsed import fields_of
from gateway.util.eager_task import start

_HIBERNATE_S = 2.0
"""After which an idle connection frees its parser and its last head: some 4 KiB."""

_IDLE = Phase.IDLE
_SERVING = Phase.SERVING
_OPEN = ReadState.OPEN


class ClientConnection(HttpProtocol):
    """Speaks HTTP/1 with one client."""

    peer: Client
    """The other end; set when the connection is made."""
    _receive_rate: MinimumRate
    """Of the body that is being read; set when it begins."""

    __slots__ = (
        "_accepted",
        "_begun",
        "_deadline_s",
        "_is_half_closed",
        "_lingering",
        "_phase",
        "_receive_rate",
        "_server",
        "_task",
        "peer",
        "reader",
        "serving",
        "writer",
    )

    def __init__(self, server: ProxyServer, accepted: AcceptedConnection | None = None) -> None:
        super().__init__(server.loop)
        self.reader = RequestReader(server)
        self.writer = ResponseWriter(server)
        self._server = server
        self._accepted = accepted
        self._phase = Phase.HEAD
        self._deadline_s = inf
        """By when the client has to send what the phase waits for."""
        self._is_half_closed = False
        """Whether the client has closed its sending side; it may still read."""
        self._task: asyncio.Task[None] | None = None
        """Serves the queue; exists in `Phase.SERVING` alone."""
        self._begun: Begun | None = None
        """The request that the task is to finish next."""
        self._lingering: LingeringClose | None = None
        self.serving: ServingConfig | None = None
        """The configuration of the request under way."""

    # --- events of the socket ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.writer.transport = self.transport
        peer = client_of(transport, self._accepted)
        if peer is None:
            self.abort()
            return
        self.peer = self.reader.peer = peer
        if not self._server.admit_connection(self):
            self.writer.request_id = self._server.next_request_id()
            self.refuse(Overloaded(), RequestRecord())
            self._close()  # lingering would hold the descriptors that are short
            return
        self._deadline_s = self._server.loop.time() + self._server.limits.head_s

    def data_received(self, data: bytes) -> None:
        reader = self.reader
        if reader.state is not _OPEN:
            return
        if data and (self._phase is _IDLE or self._phase is Phase.HEAD):
            if (request := reader.take_whole(data)) is not None:
                self._start_serving(request)
                return
            if self._phase is _IDLE:
                self._expect_head()
        if not reader.feed(data, self):
            self._pause_reading_for_buffer()
        elif self._buffer_paused:
            self._resume_reading_for_buffer()
        if reader.queue and self._phase is not _SERVING:
            self._start_serving(reader.next())
        if self._phase is _IDLE and not reader.splitter.is_between:
            self._expect_head()  # an eager task has answered all that came before it

    def eof_received(self) -> bool:
        """
        Note that the client sends no more; what it has sent is answered (RFC 9112 section 9.6).

        Only writing can tell whether it has also stopped reading, so an answer has to begin within
        ``half_closed_s``. asyncio has no half-closed TLS connections.
        """
        transport = self.transport
        is_tls = transport is None or transport.get_extra_info("ssl_object") is not None
        if not is_tls and self._phase is _SERVING and self.reader.body.is_eof():
            self._is_half_closed = True
            self._deadline_s = self._server.loop.time() + self._server.limits.half_closed_s
            return True
        self._server.write_batcher.flush()  # the transport closes now, and drops what waits
        if self._phase is not _SERVING:  # else the deadline of the body stays
            self._phase = Phase.CLOSING
            self.writer.begin_wait()
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.forget_connection(self)
        self._phase = Phase.CLOSING
        super().connection_lost(exc)
        self.writer.transport = None
        # Parser, bodies and lingering close refer to this connection or its transport: each would
        # be a reference cycle, and the memory would wait for the garbage collector.
        self.drop_parser()
        self.reader.discard()
        self._lingering = None
        if self._task is not None:
            self._task.cancel()
        if self._begun is not None:  # the task has not come to it, and never will
            begun, self._begun = self._begun, None
            abandon(self, self._server, begun)

    def check_deadline(self, now_s: float) -> None:
        """Give up a client that neither sends nor reads; see `gateway.util.deadlines`."""
        if now_s >= self._deadline_s:
            self._deadline_s = inf
            self._expire()
        self.writer.check_deadline(now_s)
        if self._phase is _IDLE and (self._parser is not None or self.reader.keeps_head):
            self._hibernate(now_s)

    def _hibernate(self, now_s: float) -> None:
        """Free the memory that a connection needs only while requests follow closely."""
        idle_s = now_s - (self._deadline_s - self._server.limits.keep_alive_s)
        if idle_s >= _HIBERNATE_S and self.reader.splitter.is_between:
            self.reader.forget_head()
            self.drop_parser()

    def _expire(self) -> None:
        """Act on the deadline of the phase."""
        match self._phase:
            case Phase.SERVING if not self._is_half_closed:
                self.reader.body.set_exception(RequestTimeout("idle body"))
            case Phase.SERVING if not self.writer.has_answered:
                self.abort()
            case Phase.HEAD if not self.reader.splitter.is_between:
                self.reader.reject(RequestTimeout("slow head"), self.reader.splitter.partial_head)
                self._start_serving(self.reader.next())
            case Phase.LINGERING if self._lingering is not None and self._lingering.go_on():
                self._deadline_s = self._server.loop.time() + LINGER_S
            case Phase.HEAD | Phase.IDLE:
                self._close()

    # --- the queue -----------------------------------------------------------------------------

    def _expect_head(self) -> None:
        self._phase = Phase.HEAD
        self._deadline_s = self._server.loop.time() + self._server.limits.head_s

    def _start_serving(self, entry: ParsedRequest | Refusal) -> None:
        """Serve ``entry`` and the queue: what needs no wait at once, and the rest by a task."""
        reader = self.reader
        self._phase, self._deadline_s = _SERVING, inf
        self._begin(entry)
        if self._begun is None and not (reader.queue or self._paused or self._buffer_paused):
            reader.is_serving = False
            self._expect_next()
            return
        task = start(self._server.loop, self._serve())
        self._task = None if task.done() else task

    def _begin(self, entry: ParsedRequest | Refusal) -> None:
        if isinstance(entry, Refusal):
            self._answer_unparsed(entry)
        else:
            self._begun = begin(self, self._server, entry)

    async def _serve(self) -> None:
        """Finish the request that has begun, and serve those that are queued."""
        reader, writer = self.reader, self.writer
        try:
            while True:
                begun, self._begun = self._begun, None
                if begun is not None:
                    await finish(self, self._server, begun)
                    del begun  # a tunnel's would stay while the next request is served
                if self._paused and not writer.will_close:
                    await self.drain()  # a client that does not read would fill the memory
                reader.is_serving = False
                if self._buffer_paused and not reader.is_stopped:
                    self.read_on()
                if not reader.queue or writer.transport is None or writer.will_close:
                    break
                self._begin(reader.next())
        except ClientGone:
            return
        finally:
            self._task = None
        if self.transport is not None:
            self._expect_next()

    def read_on(self) -> None:
        """Parse what was kept, and read more unless that is for a tunnel."""
        if self.reader.state is ReadState.ENDED:
            self._resume_reading_for_buffer()  # only so can be noticed that the client leaves
        else:
            self.data_received(b"")

    def _expect_next(self) -> None:
        """Wait for the next request, or close."""
        reader, server = self.reader, self._server
        is_last = self.writer.will_close or self._is_half_closed or reader.state is not _OPEN
        if is_last or server.is_draining:
            self._close_gracefully()
            return
        if reader.splitter.is_between:
            self._phase = _IDLE
            self._deadline_s = server.loop.time() + server.limits.keep_alive_s
        else:
            self._expect_head()

    # --- the body of a request -----------------------------------------------------------------

    def begin_body(self) -> None:
        """Take in what has come of the body under way: chunks are not looked at before."""
        limits = self._server.limits
        self._receive_rate = MinimumRate(limits.body_idle_s, limits.min_bytes_per_s)
        self.reader.await_body(self)

    async def read_body(self, body: StreamReader) -> bytes:
        """
        Return the next part of the body; empty at its end.

        Raises `RequestTimeout`, `BadRequest`.
        """
        if self.reader.is_holding and not body.is_eof():
            await asyncio.sleep(0)  # others have their turn between two parts
            self.data_received(b"")
        if body.is_eof():
            return body.read_nowait()  # a deadline that `eof_received` has set stays
        loop = self._server.loop
        began_s = loop.time()
        self._deadline_s = began_s + self._receive_rate.timeout_s()
        try:
            data = await body.readany()
        except RuntimeError as error:  # aiohttp raises it when the connection is lost
            raise BadRequest("the client left in the body") from error.with_traceback(None)
        finally:
            if not self._is_half_closed:
                self._deadline_s = inf
        self._receive_rate.record(len(data), loop.time() - began_s)
        return data

    async def drain(self) -> None:
        """Wait until the client has taken what was written. Raises `ClientGone`."""
        self.writer.begin_wait()
        try:
            await self._drain_helper()
        except ConnectionError as error:
            raise ClientGone from error.with_traceback(None)  # its frames would be a cycle
        finally:
            self.writer.end_wait()

    # --- the gateway's own answers -------------------------------------------------------------

    def answer(self, reply: Reply) -> None:
        """Send a reply of the gateway's own."""
        if self._is_client_sending():
            self.writer.will_close = True
        self.writer.send_reply(reply)

    def refuse(
        self, refusal: Refusal, record: RequestRecord, head: RequestHead | None = None
    ) -> None:
        """
        Answer with a refusal; after the head of another answer, break that off.

        ``head`` is of the request, where there is one: a browser that navigates gets a page. A
        forward-auth check has the browser's fields: the proxy that asks hands the page on.
        """
        problem = problem_of(refusal)
        record.refusal, record.reason = problem.code, refusal.reason
        if self.writer.has_answered:
            self.writer.will_close = True
            self._close(is_incomplete=True)
            return
        if type(refusal) in ENDS_CONNECTION:
            self.writer.will_close = True
            self.reader.stop()
        if self._is_client_sending():
            self.writer.will_close = True
        to_page = self._server.serving.to_page
        if to_page is not None and head is not None:
            problem = to_page(head, refusal, problem)
        self.writer.send_problem(problem, fields_beside(refusal, record))

    def _answer_unparsed(self, refusal: Refusal) -> None:
        """Refuse, and log, bytes that are no request."""
        writer, request_id = self.writer, self._server.next_request_id()
        writer.start(request_id, "", (1, 1), keeps_alive=False)
        writer.will_close = True
        record = RequestRecord(self.peer.text, request_id=request_id, scheme=self.peer.scheme)
        # For the looks of the answer: what is logged has no head.
        fields, lines = fields_of(self.reader.refused_head), ReceivedLines((), ())
        self.reader.refused_head = b""
        head = RequestHead("", "", (1, 1), fields, lines, self.peer, request_id)
        self.refuse(refusal, record, head)
        self._server.log(None, record, writer.status, writer.bytes_out, 0.0)

    def _is_client_sending(self) -> bool:
        """Return whether input may follow that is no further request: then the answer is last."""
        reader = self.reader
        if self._is_half_closed or reader.queue:  # what is queued is answered first
            return False
        if reader.state is not _OPEN and reader.is_stopped:
            return True
        return not reader.body.is_eof()

    # --- tunnels -------------------------------------------------------------------------------

    def tunnel_ended(self, *, has_client_ended: bool) -> None:
        """Take the connection back; ``has_client_ended``: the client sends nothing more."""
        self.reader.state = ReadState.ENDED if has_client_ended else ReadState.STOPPED
        self._is_half_closed = has_client_ended

    # --- ends ----------------------------------------------------------------------------------

    def close_when_idle(self) -> None:
        """Close now, or after the answer that is under way."""
        if self._phase in {Phase.HEAD, _IDLE}:
            self._close_gracefully()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self.writer.abort()

    def _close(self, *, is_incomplete: bool = False) -> None:
        """Close when all is sent, without waiting for the client's end."""
        self._phase = Phase.CLOSING
        self.writer.close(is_incomplete=is_incomplete)

    def _close_gracefully(self) -> None:
        """
        Close after the last answer, so that the client can read it; see `LingeringClose`.

        TLS needs no lingering: its shutdown reads until the client has sent a close_notify.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        reader = self.reader
        is_input_coming = reader.is_stopped or not reader.body.is_eof() or self._buffer_paused
        if self._is_half_closed or not is_input_coming or not transport.can_write_eof():
            self._close()
            return
        reader.stop()
        self._phase = Phase.LINGERING
        self._resume_transport_reading()
        self._server.write_batcher.flush()
        self._lingering = LingeringClose(transport, self._server.limits.min_bytes_per_s)
        self._deadline_s = self._server.loop.time() + LINGER_S
