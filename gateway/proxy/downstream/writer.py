"""The writing half of a client's connection: answers, and how long a client may take them."""

import asyncio
from math import inf

from gateway.core.errors import (
    BadHost,
    BadRequest,
    BadTarget,
    BodyTooLarge,
    ExpectationFailed,
    HeadTooLarge,
    Overloaded,
    Refusal,
    RequestTimeout,
    UnsupportedCoding,
    UnsupportedMethod,
    UnsupportedUpgrade,
    UnsupportedVersion,
)
from gateway.core.problem import problem
from gateway.core.record import RequestRecord
from gateway.core.request import Client, Reply
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.http1.close import (
    FAREWELL_S,
    ClientGone,
    close,
    close_incomplete,
    untaken_bytes,
)
from gateway.proxy.http1.min_rate import MinimumRate
from gateway.proxy.http1.parser import HttpProtocol
from gateway.proxy.http1.serialise import serialise_reply

_LAST_ANSWERS = (
    BadRequest
    | BadTarget
    | BadHost
    | HeadTooLarge
    | BodyTooLarge
    | RequestTimeout
    | Overloaded
    | ExpectationFailed
    | UnsupportedCoding
    | UnsupportedMethod
    | UnsupportedUpgrade
    | UnsupportedVersion
)
"""After these, what the client sends next may be anything."""


class ClientWriter(HttpProtocol):
    """What an `Exchange` writes to; see `gateway.proxy.exchange.Client`."""

    peer: Client

    __slots__ = (
        "_close_after",
        "_drain_left_bytes",
        "_drain_since_s",
        "_stopped_parsing",
        "_keeps_alive",
        "_method",
        "_pace",
        "_server",
        "_request_id",
        "_write_deadline_s",
        "bytes_out",
        "has_answered",
        "peer",
        "status",
        "version",
    )

    def __init__(self, server: ProxyServer) -> None:
        super().__init__(server.loop)
        self._server = server
        self._close_after = False
        self._stopped_parsing = False
        """Nothing more is parsed: after a breach of the grammar, where messages end is a guess."""
        self._keeps_alive = True
        self._request_id = ""
        self._method = ""
        self._pace: MinimumRate | None = None
        self._write_deadline_s = inf
        self._drain_since_s = 0.0
        self._drain_left_bytes = 0
        self.version = (1, 1)
        self.has_answered = False
        self.status = 0
        self.bytes_out = 0

    def begin_answer(self, status: int, head: bytes, body: bytes) -> None:
        """Send a head (without its empty line), what this hop adds, and a first part of body."""
        self.status, self.has_answered = status, True
        if self._server.is_draining or not self._keeps_alive:
            self._close_after = True
        if self._close_after:
            hop = b"\r\nConnection: close\r\n\r\n"
        elif self.version < (1, 1):
            hop = b"\r\nConnection: keep-alive\r\n\r\n"
        else:
            hop = b"\r\n\r\n"
        request_id = self._request_id.encode("ascii")
        data = b"".join((head, b"X-Request-Id: ", request_id, hop, body))
        self._server.write_batcher.write_soon(self._to(data), data)

    def write(self, data: bytes) -> None:
        """Send more. Raises `ClientGone`."""
        self._server.write_batcher.write(self._to(data), data)

    def _to(self, data: bytes) -> asyncio.Transport:
        if self.transport is None:
            raise ClientGone
        self.bytes_out += len(data)
        return self.transport

    def close_after_answer(self) -> None:
        """This answer is the connection's last."""
        self._close_after = True

    # --- answers of our own --------------------------------------------------------------------

    def _refuse(self, refusal: Refusal, record: RequestRecord | None) -> None:
        self._request_id = self._request_id or self._server.next_request_id()
        code, reply = problem(refusal, self._request_id)
        if record is not None:
            record.refusal, record.reason = code, refusal.reason
            reply = reply._replace(fields=reply.fields + record.fields)
        if self.has_answered:
            self._close_after = True
            self._close(is_broken=True)
            return
        if isinstance(refusal, _LAST_ANSWERS):
            self._close_after = self._stopped_parsing = True
        if self._is_client_sending():
            self._close_after = True
        self._send(reply)

    def answer(self, reply: Reply) -> None:
        """Send an answer that no app was asked for."""
        if self._is_client_sending():
            self._close_after = True
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        head, body = serialise_reply(reply, self._server.http_date())
        self.begin_answer(reply.status, head, b"" if self._method == "HEAD" else body)

    def _answer_unparsed(self, refusal: Refusal) -> None:
        self._request_id = self._server.next_request_id()
        self.version, self.has_answered, self._close_after = (1, 1), False, True
        self.bytes_out, self._method = 0, ""
        record = RequestRecord(client=self.peer.text, request_id=self._request_id)
        self._refuse(refusal, record)
        self._server.log(None, record, self.status, self.bytes_out, 0.0)

    def _is_client_sending(self) -> bool:
        """Whether more of a request is to come: then our answer is the last."""
        return False

    # --- waiting for the client to take it -----------------------------------------------------

    async def drain(self) -> None:
        """Wait until the client keeps up. Raises `ClientGone`."""
        self._expect_taking()
        try:
            await self._drain_helper()
        except ConnectionError as error:
            raise ClientGone from error
        finally:
            self._note_taken(self._server.loop.time())
            self._write_deadline_s = inf

    def _expect_taking(self) -> None:
        if self._pace is None:
            limits = self._server.limits
            self._pace = MinimumRate(limits.body_idle_s, limits.min_bytes_per_s)
        now_s = self._server.loop.time()
        self._drain_since_s, self._drain_left_bytes = now_s, self._unsent_bytes()
        self._write_deadline_s = now_s + self._pace.patience_s()

    def _note_taken(self, now_s: float) -> int:
        """How many bytes the client took since the last look."""
        left = self._unsent_bytes()
        taken = self._drain_left_bytes - left
        if self._pace is not None:
            self._pace.moved(taken, now_s - self._drain_since_s)
        self._drain_since_s, self._drain_left_bytes = now_s, left
        return taken

    def _unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def _check_writing(self, now_s: float) -> None:
        """Cut off a client that took nothing for too long, or too little on the whole."""
        if now_s < self._write_deadline_s or self._pace is None:
            return
        if self._is_leaving_tls() and self.transport and untaken_bytes(self.transport):
            self._write_deadline_s = now_s + FAREWELL_S  # in the end TLS has a time-out of its own
            return
        if self._note_taken(now_s) > 0 and (patience_s := self._pace.patience_s()) > 0:
            self._write_deadline_s = now_s + patience_s
        else:
            self.abort()

    # --- ends ----------------------------------------------------------------------------------

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        if self.transport is not None:
            self.transport.abort()

    def _close(self, *, is_broken: bool = False) -> None:
        """Close when all is sent; a client that does not take it in time is cut off."""
        if self.transport is not None:
            self._server.write_batcher.flush()
            self._expect_taking()
            how = close_incomplete if is_broken else close
            how(self.transport, self.version)
            if self._is_leaving_tls():
                self._write_deadline_s = self._server.loop.time() + FAREWELL_S

    def _is_leaving_tls(self) -> bool:
        """Whether the client's word is awaited: TLS ends when both have said so."""
        transport = self.transport
        return transport is not None and transport.is_closing() and not transport.can_write_eof()
