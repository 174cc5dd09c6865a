"""The responses of one client connection: bytes out, and how long the client may take them."""

import asyncio
from math import inf

from gateway.core.problem import ProblemAnswer
from gateway.core.request import Reply
from gateway.core.route import FieldLines
from gateway.headers.fields import serialise
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.http1.close import (
    TLS_SHUTDOWN_S,
    ClientGone,
    close_incomplete,
    undelivered_bytes,
)
from gateway.proxy.http1.min_rate import MinimumRate
from gateway.proxy.http1.serialise import serialise_problem, serialise_reply


class ResponseWriter:
    """
    Writes the responses of one connection, one after the other.

    It knows the transport, not the connection that owns both: so the two are no reference cycle.
    Waiting for flow control is the connection's part; the writer says when that has taken too long.
    """

    __slots__ = (
        "_deadline_s",
        "_keeps_alive",
        "_method",
        "_rate",
        "_server",
        "_wait_began_s",
        "_wait_began_with_bytes",
        "bytes_out",
        "has_answered",
        "request_id",
        "status",
        "transport",
        "version",
        "will_close",
    )

    def __init__(self, server: ProxyServer) -> None:
        self._server = server
        # Of the connection.
        self.transport: asyncio.Transport | None = None
        """None before the connection is made, and after it is lost."""
        self.will_close = False
        """Whether the connection closes after this response; it never becomes False again."""
        # Of the response that is under way; see `start`.
        self.request_id = ""
        self.version = (1, 1)
        self.has_answered = False
        """Whether the head of the final response was sent."""
        self.status = 0
        self.bytes_out = 0
        self._method = ""
        self._keeps_alive = True
        # Of waiting for the client to take what was written.
        self._rate: MinimumRate | None = None
        self._deadline_s = inf
        self._wait_began_s = 0.0
        self._wait_began_with_bytes = 0

    def start(
        self, request_id: str, method: str, version: tuple[int, int], *, keeps_alive: bool
    ) -> None:
        """Prepare for the response to a request; ``keeps_alive``: as its client asks."""
        self.request_id = request_id
        self.version = version
        self.has_answered = False
        self.status = self.bytes_out = 0
        self._method = method
        self._keeps_alive = keeps_alive
        self._rate = None

    def begin_answer(self, status: int, head: bytes, body: bytes) -> None:
        """
        Send a head (without its empty line), the fields of this hop, and a first part of the body.

        Raises `ClientGone`.
        """
        self.status, self.has_answered = status, True
        server = self._server
        if server.is_draining or not self._keeps_alive:
            self.will_close = True
        if self.will_close:
            hop = b"\r\nConnection: close\r\n\r\n"
        elif self.version < (1, 1):
            hop = b"\r\nConnection: keep-alive\r\n\r\n"
        else:
            hop = b"\r\n\r\n"
        request_id = self.request_id.encode("ascii")
        data = b"".join((head, b"X-Request-Id: ", request_id, hop, body))
        transport = self.transport  # `_transport_for`, without the call: each answer comes here
        if transport is None:
            raise ClientGone
        self.bytes_out += len(data)
        server.write_batcher.write_soon(transport, data)

    def date_line(self) -> bytes:
        """Return the Date field, for an answer that has none (RFC 9110 section 6.6.1)."""
        return self._server.http_date()

    def write(self, data: bytes) -> None:
        """Send more. Raises `ClientGone`."""
        self._server.write_batcher.write(self._transport_for(data), data)

    def send_reply(self, reply: Reply) -> None:
        """Send a reply of the gateway's own. Raises `ClientGone`."""
        head, body = serialise_reply(reply, self._server.http_date())
        self.begin_answer(reply.status, head, b"" if self._method == "HEAD" else body)

    def send_problem(self, problem: ProblemAnswer, fields: FieldLines) -> None:
        """Answer a refusal; ``fields`` are for each answer to the request. Raises `ClientGone`."""
        head, body = serialise_problem(problem, self.request_id)
        head += self._server.http_date()
        if fields:
            head += serialise(fields)
        self.begin_answer(problem.status, head, b"" if self._method == "HEAD" else body)

    def switch_protocols(self, status: int, head: bytes) -> None:
        """Send the head of a 101, after which nothing is HTTP any more. Raises `ClientGone`."""
        self.status, self.has_answered = status, True
        self.write(head)

    def _transport_for(self, data: bytes) -> asyncio.Transport:
        if self.transport is None:
            raise ClientGone
        self.bytes_out += len(data)
        return self.transport

    # --- waiting for the client to take what was written ---------------------------------------

    def begin_wait(self) -> None:
        """Expect the client to take what is buffered; see `check_deadline`."""
        if self._rate is None:
            limits = self._server.limits
            self._rate = MinimumRate(limits.body_idle_s, limits.min_bytes_per_s)
        self._wait_began_s = self._server.loop.time()
        self._wait_began_with_bytes = self._buffered_bytes()
        self._deadline_s = self._wait_began_s + self._rate.timeout_s()

    def end_wait(self) -> None:
        """Note that the client keeps up again, or has gone."""
        self._record_progress(self._server.loop.time())
        self._deadline_s = inf

    def check_deadline(self, now_s: float) -> None:
        """Abort if the client took nothing for too long, or too little over the whole response."""
        if now_s < self._deadline_s or self._rate is None:
            return
        if self._is_in_tls_shutdown() and self.transport and undelivered_bytes(self.transport):
            self._deadline_s = now_s + TLS_SHUTDOWN_S  # in the end TLS has a time-out of its own
            return
        if self._record_progress(now_s) > 0 and (timeout_s := self._rate.timeout_s()) > 0:
            self._deadline_s = now_s + timeout_s
        else:
            self.abort()

    def _record_progress(self, now_s: float) -> int:
        """Tell the rate how much the client took since the last time; return that."""
        left_bytes = self._buffered_bytes()
        taken_bytes = self._wait_began_with_bytes - left_bytes
        if self._rate is not None:
            self._rate.record(taken_bytes, now_s - self._wait_began_s)
        self._wait_began_s, self._wait_began_with_bytes = now_s, left_bytes
        return taken_bytes

    def _buffered_bytes(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    # --- the end of the connection -------------------------------------------------------------

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        if self.transport is not None:
            self.transport.abort()

    def close(self, *, is_incomplete: bool = False) -> None:
        """Close when all is sent; a client that does not take it in time is cut off."""
        if self.transport is None:
            return
        self._server.write_batcher.flush()
        self.begin_wait()
        if is_incomplete:
            close_incomplete(self.transport, self.version)
        else:
            self.transport.close()
        if self._is_in_tls_shutdown():
            self._deadline_s = self._server.loop.time() + TLS_SHUTDOWN_S

    def _is_in_tls_shutdown(self) -> bool:
        """Whether the client's close_notify is awaited: TLS ends when both sides have sent one."""
        transport = self.transport
        return transport is not None and transport.is_closing() and not transport.can_write_eof()
