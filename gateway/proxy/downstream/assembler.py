"""Requests made of what the parser returned. Reads no socket and no clock."""

from collections.abc import Callable

from gateway.core.errors import BadRequest, HeadTooLarge, Refusal
from gateway.core.request import Client, FieldMemo, RequestHead
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.http1.head_cache import HeadCache
from gateway.proxy.http1.parser import NOTHING, RawRequestMessage, StreamReader
from gateway.proxy.http1.splitter import MessageSplitter
from gateway.proxy.http1.strict import has_strict_line, is_plain

ParsedRequest = tuple[RequestHead, RawRequestMessage | None, StreamReader]
"""
A request, the parser's message, and its body.

The message is None where the head repeats one that was checked before; such a request has no body.
"""


class RequestAssembler:
    """Makes requests and refusals of bytes and the parser's messages."""

    __slots__ = ("_head_cache", "_is_last", "_limits", "_next_id", "has_ended", "splitter")

    def __init__(self, limits: ConnectionLimits, next_id: Callable[[], str]) -> None:
        self.splitter = MessageSplitter()
        self._limits = limits
        self._next_id = next_id
        self._head_cache = HeadCache(limits.head_bytes)
        self._is_last = False
        self.has_ended = False
        """Whether all of the request that the client said is its last has come."""

    def recall(self, data: bytes, peer: Client) -> ParsedRequest | None:
        """Return the request in ``data`` if it repeats the head before, which was parsed."""
        if not self.splitter.is_between or (recalled := self._head_cache.recall(data)) is None:
            return None
        method, target, (headers, raw_fields, memo) = recalled
        request_id = self._next_id()
        head = RequestHead(method, target, (1, 1), headers, raw_fields, peer, request_id, memo=memo)
        return head, None, NOTHING

    def assemble(
        self, message: RawRequestMessage, body: StreamReader, part: bytes, peer: Client
    ) -> ParsedRequest | Refusal:
        """Return the request whose head ended with ``part``, or why it is refused."""
        splitter = self.splitter
        raw = splitter.partial_head + part if splitter.partial_head else part
        self._is_last = message.should_close
        if body is NOTHING:
            splitter.begin_body(0)
            self.has_ended = self._is_last
        else:
            splitter.begin_body(
                None if message.chunked else int(message.headers.get("Content-Length", "0"))
            )
        if len(raw) > self._limits.head_bytes or len(message.raw_headers) > self._limits.fields:
            return HeadTooLarge("too long, or too many fields")
        if not has_strict_line(message, raw):
            return BadRequest("request line")
        memo = None
        if body is NOTHING and is_plain(message):
            memo = self._head_cache.learn(raw, message.headers, message.raw_headers)
        return self._head(message, peer, memo), message, body

    def end_body(self) -> None:
        """Note that all of the body has come."""
        self.splitter.end_body()
        self.has_ended = self._is_last

    def size_refusal(self) -> Refusal | None:
        """Return a refusal if the incomplete head, or a body's framing, is over the limit."""
        splitter = self.splitter
        if max(len(splitter.partial_head), splitter.overhead_bytes) > self._limits.head_bytes:
            return HeadTooLarge("head, trailers or chunk extensions grew over the limit")
        if splitter.outweighs_data:
            return BadRequest("far more chunk framing than data")
        return None

    def forget(self) -> None:
        """Free what is kept of the last head."""
        self._head_cache.forget()

    def _head(
        self, message: RawRequestMessage, peer: Client, memo: FieldMemo | None
    ) -> RequestHead:
        return RequestHead(
            message.method,
            message.path,
            message.version,
            message.headers,
            message.raw_headers,
            peer,
            self._next_id(),
            memo=memo,
        )
