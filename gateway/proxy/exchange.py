"""
One request and its answer, streamed in both directions.

Bodies are streamed: each side is read only as fast as the other takes it. The beginning of a
request's body is taken in before the app is asked, so that a slow client holds no connection to it.
If an app fails in the middle of an answer, the client sees a broken message, never a clean end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from math import inf
from time import monotonic, perf_counter

from gateway.core.errors import BodyTooLarge, InternalError, Refusal
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound
from gateway.headers.answer_lines import AnswerHead
from gateway.headers.internal import note_refusal
from gateway.headers.own_fields import with_own_fields
from gateway.headers.response import upgrade_fields
from gateway.proxy.client_side import ClientSide, UpgradeHandler, refuse_switch
from gateway.proxy.downstream.server import ServingConfig
from gateway.proxy.http1.buffered import CONTINUE, BodyBuffer, fits, without_expectation
from gateway.proxy.http1.close import ClientGone
from gateway.proxy.http1.framing import (
    LAST_CHUNK,
    BodyKind,
    Framing,
    encode_chunk,
    encode_whole,
    framing_without_length,
    response_framing,
)
from gateway.proxy.http1.parser import RawResponseMessage, StreamReader, WholeBody
from gateway.proxy.http1.serialise import status_line
from gateway.proxy.upstream.answer import KnownHead, ResponseHead
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.known_answer import LengthlessAnswer, WholeAnswer
from gateway.proxy.upstream.length_body import LengthBody
from gateway.proxy.upstream.retry import send_with_retries
from gateway.proxy.upstream.upstream import UpstreamServer
from gateway.util.time_box import TimeBox

_log = logging.getLogger(__name__)

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 section 9.2.2
_SWITCHING_PROTOCOLS = 101
_UPGRADE_REQUIRED = 426
_PATIENCE_S = 1.0
"""How long a client may hold an answer up and an app still be blamed for breaking it off."""
_NO_BODY = BodyKind.NONE
_METHODS_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""An app may leave a body of these unread, and read it as the next request (CL.0 smuggling)."""


class Exchange:
    """Forwards one admitted request to the app, and the answer to the client."""

    __slots__ = (
        "_answer_fields",
        "_body",
        "_client",
        "_client_wait_s",
        "_costs",
        "_framing",
        "_max_body_bytes",
        "_sent_body",
        "_switch",
        "_taken",
        "_timeouts",
        "_upstream",
        "_whole",
        "_writer",
        "may_repeat",
        "outbound",
        "record",
    )

    def __init__(
        self,
        client: ClientSide,
        outbound: Outbound,
        framing: Framing,
        body: StreamReader,
        serving: ServingConfig,
        record: RequestRecord,
        switch: UpgradeHandler = refuse_switch,
    ) -> None:
        route = outbound.route
        self._client = client
        self._writer = client.writer
        self._switch = switch
        self.outbound = outbound
        self.record = record
        self._framing = framing
        self._body = body
        self.may_repeat = outbound.method in _IDEMPOTENT
        self._timeouts = route.timeouts
        self._upstream = serving.upstreams[route.upstream]
        self._answer_fields = serving.answer_fields
        self._costs = serving.costs
        self._max_body_bytes = serving.max_body_bytes
        self._sent_body = framing.kind is _NO_BODY
        self._whole = b""
        """The body that is sent with the head, in the framing of the request."""
        self._taken: BodyBuffer | None = None
        """What has come of a body that is sent after the head."""
        self._client_wait_s = inf
        """How long the app was not read as the client did not keep up; inf before its body."""

    def run(self) -> Awaitable[None]:
        """
        Forward the request and stream the answer to the client.

        Raises the `Refusal` that ended it; once the client has seen a head, the caller must break
        the connection instead of answering.
        """
        if self._sent_body:
            return send_with_retries(self, self._upstream)
        if isinstance(self._body, WholeBody) and self.outbound.method not in _METHODS_WITHOUT_BODY:
            # Its length is that of its head, which was judged.
            self._whole, self._sent_body = self._body.read_nowait(), True
            self.record.bytes_in = len(self._whole)
        else:
            if not self._body.is_eof():
                self._client.begin_body()
            may_buffer = self._may_buffer()
            if self._body.is_eof() and self.outbound.method not in _METHODS_WITHOUT_BODY:
                self._take_whole(self._body.read_nowait())
            elif may_buffer and self._upstream.buffer_bytes:
                return self._buffer_and_send()
        return send_with_retries(self, self._upstream)

    def _take_whole(self, data: bytes) -> None:
        """Send ``data``, which is all of the body, with the head. Raises `BodyTooLarge`."""
        self.record.bytes_in = len(data)
        self._refuse_over_limit(len(data))
        self._whole, self._sent_body = encode_whole(self._framing, data), True

    async def _buffer_and_send(self) -> None:
        """Take in the beginning of the body: its end, the bound, or what comes in time."""
        upstream, body = self._upstream, BodyBuffer(self._framing, self._upstream.buffer_bytes)
        box = TimeBox(upstream.loop.time() + upstream.buffer_s)
        await box.run(self._take_in(body), upstream.deadlines)
        if body.is_whole and self.outbound.method not in _METHODS_WITHOUT_BODY:
            self._take_whole(body.data())
        else:
            self._taken = body
        await send_with_retries(self, upstream)

    async def _take_in(self, body: BodyBuffer) -> None:
        """Read the body until its end or the bound. Raises as `read_body` does."""
        while not body.is_full():
            body.add(await self._client.read_body(self._body))
            self.record.bytes_in = body.size_bytes
            self._refuse_over_limit(body.size_bytes)

    def _may_buffer(self) -> bool:
        """
        Return whether the body is read before the app is asked; invite it if the client waits.

        If it may be longer than the bound, whether it is to be sent at all is for the app to say.
        """
        if not self._framing.expects_continue:
            return True
        if not fits(self._framing, self._upstream.buffer_bytes):
            return False
        self.outbound = without_expectation(self.outbound)
        if self._writer.version >= (1, 1) and not self._body.is_eof():
            self._writer.write(CONTINUE)
        return True

    def _refuse_over_limit(self, size_bytes: int) -> None:
        """Raise `BodyTooLarge` if that much has come of a body: chunks tell no length."""
        if size_bytes > self._max_body_bytes:
            raise BodyTooLarge("body grew over the limit")

    def is_untouched(self) -> bool:
        """Return whether there is no body to send, and the client has been sent nothing."""
        return self._framing.kind is _NO_BODY and not self._writer.has_answered

    def was_broken_off(self) -> bool:
        """
        Return whether the app broke off the body of its answer, and the client had no part in it.

        An app may close on a client that takes the answer slowly, or that still sends its request.
        """
        return self._sent_body and self._client_wait_s < _PATIENCE_S

    async def send(self, upstream: UpstreamConnection, server: UpstreamServer) -> int:
        """Send the request and stream the answer; see `RetryableRequest`."""
        pump: asyncio.Task[None] | None = None
        asked_s = perf_counter()
        try:
            heads = None if self.outbound.route.is_internal else self._answer_fields.of_apps
            sent_bytes, parts = self._taken_parts()
            head_bytes, method = self._head(server), self.outbound.method
            answer = upstream.ask(head_bytes, method, self._interim, heads, parts)
            if self._sent_body:
                upstream.expect_within(self._timeouts.response_s)
            else:
                pump = self._begin_body(upstream, sent_bytes)
            try:
                head = await answer
            finally:
                self.record.upstream_s += perf_counter() - asked_s
            if not self._sent_body:
                upstream.mark_unusable()  # the app may read the rest of the body as a request
            if isinstance(head, WholeAnswer):
                self._begin_known(head.head, head.length_line, head.body)
            else:
                await self._answer_in_parts(upstream, server, head)
        except Refusal:
            upstream.mark_unusable()
            raise
        else:
            return head.status
        finally:
            try:
                if pump is not None and not pump.done():
                    pump.cancel()
                    await asyncio.wait([pump])
            finally:
                if not self._sent_body:
                    upstream.abort()
                server.pool.give_back(upstream)

    def _head(self, server: UpstreamServer) -> bytes:
        route, method, target, fields, _, _, _, _ = self.outbound
        line = f"{method} {target.wire} HTTP/1.1\r\n".encode("ascii")
        if route.rewrites_host:
            line += server.host_line
        return b"".join((line, fields, self._framing.field, b"\r\n", self._whole))

    # --- the request's body --------------------------------------------------------------------

    def _taken_parts(self) -> tuple[int, Sequence[bytes]]:
        """
        Return the size and parts of what was taken in; free it, as it is never sent twice.

        They leave with the head, in one system call, which wakes the app once.
        """
        taken, self._taken = self._taken, None
        return (0, ()) if taken is None else (taken.size_bytes, taken.encoded())

    def _begin_body(self, upstream: UpstreamConnection, sent_bytes: int) -> asyncio.Task[None]:
        """Return the task that sends the body, of which ``sent_bytes`` are sent."""
        if self.outbound.method in _METHODS_WITHOUT_BODY:
            upstream.mark_unusable()
        return asyncio.create_task(self._pump(upstream, sent_bytes))

    async def _pump(self, upstream: UpstreamConnection, sent_bytes: int) -> None:
        """Send the body; an error here fails the upstream connection, and so ends the exchange."""
        try:
            await self._send_body(upstream, sent_bytes)
        except Refusal as refusal:
            upstream.fail(refusal)
        except Exception:  # noqa: BLE001 (an unexpected error must end the exchange, too)
            _log.exception("sending a body failed")
            upstream.fail(InternalError("sending a body failed"))

    async def _send_body(self, upstream: UpstreamConnection, sent_bytes: int) -> None:
        is_chunked = self._framing.kind is BodyKind.CHUNKED
        if upstream.writing_paused:
            await upstream.drain_within(self._timeouts.idle_s)
        while data := await self._client.read_body(self._body):
            sent_bytes += len(data)
            self.record.bytes_in = sent_bytes
            self._refuse_over_limit(sent_bytes)
            upstream.write(encode_chunk(data) if is_chunked else data)
            if upstream.writing_paused:
                await upstream.drain_within(self._timeouts.idle_s)
        if is_chunked:
            upstream.write(LAST_CHUNK)
        self._sent_body = True
        if not upstream.final_seen:
            upstream.expect_within(self._timeouts.response_s)

    # --- the answer ----------------------------------------------------------------------------

    def _interim(self, message: RawResponseMessage) -> None:
        """
        Forward a 1xx answer (RFC 9110 section 15.2).

        Not to HTTP/1.0 clients, which know none; nor to a client that does not keep up, since
        nothing else limits how many an app may send.
        """
        if self._writer.version < (1, 1) or self._client.writing_paused:
            return
        with suppress(ClientGone):
            self._writer.write(self._status_and_fields(message) + b"\r\n")

    async def _answer_in_parts(
        self,
        upstream: UpstreamConnection,
        server: UpstreamServer,
        head: ResponseHead | LengthlessAnswer | KnownHead,
    ) -> None:
        """Handle an answer that has no length, whose body is to come, or which was parsed."""
        if isinstance(head, LengthlessAnswer):
            self._begin_lengthless(head)
        elif isinstance(head, KnownHead):
            self._begin_known(head.head, head.length_line, head.body.read_nowait())
            await self._stream(upstream, BodyKind.LENGTH, head.body)
        elif head.status == _SWITCHING_PROTOCOLS:
            await self._switch_protocols(upstream, server, head.message)
        elif (framing := self._begin_answer(head)) is not None:
            await self._stream(upstream, framing.kind, head.body)

    def _begin_known(self, known: AnswerHead, length_line: bytes, body: bytes) -> None:
        """Send a head that needed no parser, with what has come of the body: in one write."""
        status, head, has_date, has_cors, has_limits, cost = known
        outbound, writer = self.outbound, self._writer
        if outbound.cors or outbound.limits is not None:
            head = with_own_fields(head, outbound, has_cors=has_cors, has_limits=has_limits)
        head += length_line if has_date else length_line + writer.date_line()
        if not self._sent_body:
            writer.will_close = True
        writer.begin_answer(status, head, body)
        if cost:
            self._costs.charge(outbound, cost)

    def _begin_lengthless(self, answer: LengthlessAnswer) -> None:
        """Send an answer in chunks, or without a body."""
        known, body = answer
        if body is None:
            self._begin_known(known, b"", b"")
            return
        framing = framing_without_length(self._writer.version)
        if framing.kind is BodyKind.CLOSE:
            self._writer.will_close = True
        self._begin_known(known, framing.field, encode_whole(framing, body))

    def _begin_answer(self, answer: ResponseHead) -> Framing | None:
        """Send the head, with the body if all of it has come; else return the body's framing."""
        message, _, whole = answer
        writer = self._writer
        if self.outbound.route.is_internal:
            note_refusal(message.headers, self.record)
        framing = response_framing(
            message.headers,
            message.code,
            self.outbound.method,
            writer.version,
            is_chunked=message.chunked,
        )
        head = self._status_and_fields(message) + framing.field
        if "Date" not in message.headers:
            head += writer.date_line()
        if framing.kind is BodyKind.CLOSE or not self._sent_body:
            writer.will_close = True
        self._costs.charge_parsed(self.outbound, message.headers)
        begun = b"" if whole is None else encode_whole(framing, whole)
        writer.begin_answer(message.code, head, begun)
        return framing if whole is None else None

    async def _switch_protocols(
        self, upstream: UpstreamConnection, server: UpstreamServer, message: RawResponseMessage
    ) -> None:
        """Turn both connections into a tunnel, if the client asked for one."""
        self._upstream.answered(server, message.code)
        server.pool.detach(upstream)
        head = self._status_and_fields(message)
        self._costs.charge_parsed(self.outbound, message.headers)
        await self._switch(upstream, message, head, self._timeouts.idle_s)

    async def _stream(
        self, upstream: UpstreamConnection, kind: BodyKind, body: StreamReader | LengthBody
    ) -> None:
        client, writer, idle_s = self._client, self._writer, self._timeouts.idle_s
        is_chunked = kind is BodyKind.CHUNKED
        self._client_wait_s = 0.0
        while True:
            upstream.expect_within(idle_s)
            data = await body.readany()
            if not data:
                break
            writer.write(encode_chunk(data) if is_chunked else data)
            if client.writing_paused:
                upstream.expect_within(inf)  # the app is not to blame for a slow client
                began_s = monotonic()
                await client.drain()
                self._client_wait_s += monotonic() - began_s
        if is_chunked:
            writer.write(LAST_CHUNK)

    def _status_and_fields(self, message: RawResponseMessage) -> bytes:
        fields = self._answer_fields.rewrite(
            message.raw_headers,
            message.headers,
            may_set_session=self.outbound.route.is_internal,
        )
        fields = with_own_fields(fields, self.outbound)
        if message.code == _UPGRADE_REQUIRED:
            fields += upgrade_fields(message.raw_headers)
        return status_line(message.code, message.reason) + fields
