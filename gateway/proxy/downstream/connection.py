"""
One connection from a client: its requests are served in order, and it ends when it should.

An idle connection holds no task. Requests that have arrived are served one after the other by one
task. How bytes become requests is told in `client_reader`, how answers leave in `client_writer`.
"""

import asyncio
import logging
from enum import Enum, auto
from math import inf
from time import perf_counter

from gateway.core.errors import (
    BadRequest,
    InternalError,
    Overloaded,
    Refusal,
    RequestTimeout,
)
from gateway.core.record import RequestRecord
from gateway.core.request import Reply, RequestHead
from gateway.proxy.downstream.accepted import AcceptedConnection, peer_of, shown_certificate
from gateway.proxy.downstream.reader import ClientReader
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.close import ClientGone, untaken_bytes
from gateway.proxy.http1.framing import NO_BODY
from gateway.proxy.http1.min_rate import MinimumRate
from gateway.proxy.http1.parser import NOTHING, RawRequestMessage, StreamReader
from gateway.proxy.http1.strict import check_request, keeps_alive
from gateway.proxy.tunnel.tunnel import serve_upgrade
from gateway.telemetry.metrics import CLIENT_GONE
from gateway.util.eager_task import start

_log = logging.getLogger(__name__)

_LINGER_S = 2.0
"""How long a client that is still sending may read our answer; longer while it does."""

_HIBERNATE_S = 2.0
"""After which an idle connection gives up its parser and what it remembers: some 4 KiB."""

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


class ClientConnection(ClientReader):
    """Speaks HTTP/1 with one client: what becomes of each request, and of the connection."""

    __slots__ = (
        "_accepted",
        "_is_half_closed",
        "_phase",
        "_read_deadline_s",
        "_reading_pace",
        "_task",
        "_untaken_bytes",
        "serving",
    )

    def __init__(self, server: ProxyServer, accepted: AcceptedConnection | None = None) -> None:
        super().__init__(server)
        self._accepted = accepted
        self._task: asyncio.Task[None] | None = None
        self._phase = _Phase.HEAD
        self._is_half_closed = False
        self._read_deadline_s = inf
        self._reading_pace: MinimumRate | None = None
        self._untaken_bytes = 0
        self.serving: ServingConfig | None = None

    # --- events of the socket ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = self._accepted.leave() if self._accepted else peer_of(transport)
        if peer is None:  # reset before we accepted it: nobody is there to be served or logged
            self.abort()
            return
        shown = shown_certificate(transport)
        self.peer = peer if shown is None else peer._replace(certificate=shown)
        if not self._server.admit_connection(self):
            self._refuse(Overloaded(), None)
            self._close()  # at once: lingering, they would hold the descriptors that are short
            return
        self._read_deadline_s = self._server.loop.time() + self._server.limits.head_s

    def data_received(self, data: bytes) -> None:
        if self._stopped_parsing or self._assembler.is_closed:
            return
        if self._phase is _Phase.IDLE and data:
            if (arrived := self._assembler.recall(data, self.peer)) is not None:
                self._body = NOTHING
                self._queue.append(arrived)
                self._begin()
                return
            self._expect_head()
        self._read(data)
        if self._phase is _Phase.IDLE and not self._assembler.splitter.is_between:
            self._expect_head()  # an eager task has answered all that came before it

    def _expect_head(self) -> None:
        self._phase = _Phase.HEAD
        self._read_deadline_s = self._server.loop.time() + self._server.limits.head_s

    def eof_received(self) -> bool:
        """
        The client will send no more; what it has sent is still answered (RFC 9112 section 9.6).

        Whether it also left, only writing to it can tell: so for an answer that has not begun it
        is given ``half_closed_s``. TLS has no half-closed connections here.
        """
        transport = self.transport
        if transport is None or transport.get_extra_info("ssl_object") is not None:
            may_stay = False
        else:
            may_stay = self._is_serving and self._body.is_eof()
        if may_stay:
            self._is_half_closed = True
            self._read_deadline_s = self._server.loop.time() + self._server.limits.half_closed_s
        else:
            self._server.write_batcher.flush()  # the transport closes now, and with it what is only due
        return may_stay

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.forget_connection(self)
        self._stopped_parsing = True
        super().connection_lost(exc)
        if self._task is not None:
            self._task.cancel()

    def check_deadline(self, now_s: float) -> None:
        """Give up a client that neither sends nor reads."""
        if now_s >= self._read_deadline_s:
            self._read_deadline_s = inf
            self._expire()
        self._check_writing(now_s)
        if self._phase is _Phase.IDLE and self._parser is not None:
            self._hibernate(now_s)

    def _hibernate(self, now_s: float) -> None:
        """Keep nothing of a connection that has been idle for a moment but the connection."""
        idle_s = now_s - (self._read_deadline_s - self._server.limits.keep_alive_s)
        if idle_s >= _HIBERNATE_S and self._assembler.splitter.is_between:
            self._assembler.forget()
            self._parser = None

    def _expire(self) -> None:
        if self._phase is _Phase.SERVING:
            if not self._is_half_closed:
                self._body.set_exception(RequestTimeout("idle body"))
            elif not self.has_answered:
                self.abort()
        elif self._phase is _Phase.HEAD and not self._assembler.splitter.is_between:
            self._reject(RequestTimeout("slow head"))
        elif self._phase is _Phase.LINGERING:
            self._linger_on()
        else:
            self._close()

    # --- from the parser to the task -----------------------------------------------------------

    def _begin(self) -> None:
        self._phase, self._is_serving = _Phase.SERVING, True  # before an eager task begins
        self._read_deadline_s = inf
        task = start(self._server.loop, self._serve())
        self._task = None if task.done() else task

    async def _serve(self) -> None:
        try:
            while self._queue and self.transport is not None and not self._close_after:
                entry = self._queue.pop(0)
                if isinstance(entry, Refusal):
                    self._answer_unparsed(entry)
                else:
                    await self._serve_one(*entry)
                if self._paused and not self._close_after:
                    await self.drain()  # else whoever asks and does not read fills the memory
                if self._buffer_paused and not self._stopped_parsing:
                    self._refill()
        except ClientGone:
            return
        finally:
            self._task, self._is_serving = None, False
        self._rest()

    def _refill(self) -> None:
        """Take what was held back while too much waited."""
        self.data_received(b"")
        if not self._queue_is_full():
            self._resume_reading_for_buffer()

    def _rest(self) -> None:
        """Wait for the next request, or end."""
        if self.transport is None:
            return
        is_last = self._close_after or self._is_half_closed or self._stopped_parsing
        if is_last or self._server.is_draining:
            self._shut()
            return
        limits = self._server.limits
        is_in_head = not self._assembler.splitter.is_between
        self._phase = _Phase.HEAD if is_in_head else _Phase.IDLE
        wait_s = limits.head_s if is_in_head else limits.keep_alive_s
        self._read_deadline_s = self._server.loop.time() + wait_s

    # --- one request ---------------------------------------------------------------------------

    async def _serve_one(
        self, head: RequestHead, message: RawRequestMessage | None, body: StreamReader
    ) -> None:
        server, record = self._server, RequestRecord()
        self._begin_request(head, message)
        started_s = perf_counter()  # the loop of uvloop counts whole milliseconds
        try:
            self.serving = serving = (
                server.serving
            )  # a reload swaps it: one request is judged by one
            framing = NO_BODY if message is None else check_request(message, serving.max_body_bytes)
            if message is not None and message.upgrade:
                upgrading = serve_upgrade(self, server, serving, head, body, record)
                del serving  # a tunnel may outlast many: none is kept for its sake
                await upgrading
            else:
                admitted = await serving.admit(head, record)
                if isinstance(admitted, Reply):
                    self.answer(admitted)
                else:
                    await Exchange(self, admitted, framing, body, serving).run()
        except Refusal as refusal:
            self._refuse(refusal, record)
        except (asyncio.CancelledError, ClientGone) as error:
            self.status = self.status or _CLIENT_GONE
            record.refusal = CLIENT_GONE
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception:  # noqa: BLE001 (a fault of ours must still be answered and logged)
            _log.exception("request %s failed", head.request_id)
            self._refuse(InternalError(), record)
        finally:
            self.serving = None
            if not body.is_eof():
                self._close_after = True
            server.log(head, record, self.status, self.bytes_out, perf_counter() - started_s)

    def _begin_request(self, head: RequestHead, message: RawRequestMessage | None) -> None:
        self._request_id = head.request_id
        self.version = head.version
        self.has_answered = False
        self.status = self.bytes_out = 0
        self._pace = self._reading_pace = None
        self._method = head.method
        self._keeps_alive = message is None or keeps_alive(message)

    async def read_body(self, body: StreamReader) -> bytes:
        """The next part of the body; empty at its end. Raises `RequestTimeout`, `BadRequest`."""
        if body.is_eof():
            return body.read_nowait()  # and a deadline that the client's end has set stays
        loop, limits = self._server.loop, self._server.limits
        if self._reading_pace is None:
            self._reading_pace = MinimumRate(limits.body_idle_s, limits.min_bytes_per_s)
        since_s = loop.time()
        self._read_deadline_s = since_s + self._reading_pace.patience_s()
        try:
            data = await body.readany()
        except RuntimeError as error:  # aiohttp's word for a connection that is gone
            raise BadRequest("the client left in the middle of the body") from error
        finally:
            if not self._is_half_closed:
                self._read_deadline_s = inf
        self._reading_pace.moved(len(data), loop.time() - since_s)
        return data

    def take_back(self, *, has_ended: bool) -> None:
        """The tunnel is over; ``has_ended``: and the client sends nothing more."""
        self._stopped_parsing, self._is_half_closed = not has_ended, has_ended

    # --- ends ----------------------------------------------------------------------------------

    def _is_client_sending(self) -> bool:
        """A body that is not complete is that of the last request: of none that another follows."""
        is_body_coming = not self._queue and not self._body.is_eof()
        return not self._is_half_closed and (self._stopped_parsing or is_body_coming)

    def finish_soon(self) -> None:
        """Drain: close now if idle, else after the answer that is under way."""
        if self._task is None and self._phase is not _Phase.LINGERING:
            self._shut()

    def _shut(self) -> None:
        """
        Close after the last answer; where the client is still sending, let it read first.

        Closing with unread bytes in the socket resets the connection, and the reset overtakes the
        answer (RFC 9112 section 9.6). TLS, which has no half-closed connections here, sees to that
        by itself: it reads until the client has said goodbye too.
        """
        if self.transport is None or self.transport.is_closing():
            return
        is_more_to_come = self._stopped_parsing or not self._body.is_eof() or self._buffer_paused
        if self._is_half_closed or not is_more_to_come or not self.transport.can_write_eof():
            self._close()
            return
        self._stopped_parsing, self._phase = True, _Phase.LINGERING
        self._resume_transport_reading()
        self._server.write_batcher.flush()
        self.transport.write_eof()
        self._untaken_bytes = untaken_bytes(self.transport)
        self._read_deadline_s = self._server.loop.time() + _LINGER_S

    def _linger_on(self) -> None:
        """As long as the client takes what was sent, fast enough; then the connection goes."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        left = untaken_bytes(transport)
        taken = self._untaken_bytes - left
        if not left or taken < _LINGER_S * self._server.limits.min_bytes_per_s:
            transport.abort()
            return
        self._untaken_bytes = left
        self._read_deadline_s = self._server.loop.time() + _LINGER_S
