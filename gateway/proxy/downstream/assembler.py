"""What a client sent, as requests that wait for their turn. Holds no socket and no clock."""

from collections.abc import Callable

from gateway.core.errors import BadRequest, HeadTooLarge, Refusal
from gateway.core.request import Client, FieldMemo, RequestHead
from gateway.proxy.downstream.server import ConnectionLimits
from gateway.proxy.http1.head_cache import HeadCache
from gateway.proxy.http1.parser import NOTHING, RawRequestMessage, StreamReader
from gateway.proxy.http1.splitter import MessageSplitter
from gateway.proxy.http1.strict import has_strict_line, is_plain

ParsedRequest = tuple[RequestHead, RawRequestMessage | None, StreamReader]
"""
A request, how it was parsed, and its body.

What was not parsed anew has no body and nothing that would have to be judged.
"""


class RequestAssembler:
    """Turns what was read, and what the parser made of it, into requests and refusals."""

    __slots__ = ("_limits", "_is_last", "_last_head", "_next_id", "splitter", "is_closed")

    def __init__(self, limits: ConnectionLimits, next_id: Callable[[], str]) -> None:
        self.splitter = MessageSplitter()
        self._limits = limits
        self._next_id = next_id
        self._last_head = HeadCache(limits.head_bytes)
        self._is_last = False
        self.is_closed = False
        """Whether the client has sent the last request that it will send, as it said itself."""

    def recall(self, data: bytes, peer: Client) -> ParsedRequest | None:
        """The request that a read holds, where it repeats the one before; else it is parsed."""
        if not self.splitter.is_between or (recalled := self._last_head.recall(data)) is None:
            return None
        method, target, (headers, raw_fields, memo) = recalled
        request_id = self._next_id()
        head = RequestHead(method, target, (1, 1), headers, raw_fields, peer, request_id, memo=memo)
        return head, None, NOTHING

    def arrived(
        self, message: RawRequestMessage, body: StreamReader, part: bytes, peer: Client
    ) -> ParsedRequest | Refusal:
        """The request whose head ended with ``part``, or why it is none."""
        splitter = self.splitter
        raw = splitter.partial_head + part if splitter.partial_head else part
        self._is_last = message.should_close
        if body is NOTHING:
            splitter.begin_body(0)
            self.is_closed = self._is_last
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
            memo = self._last_head.learn(raw, message.headers, message.raw_headers)
        return self._head(message, peer, memo), message, body

    def end_body(self) -> None:
        """All of the body has come: a head is next, if there is to be one."""
        self.splitter.end_body()
        self.is_closed = self._is_last

    def size_refusal(self) -> Refusal | None:
        """Why what came is too much, where it completed nothing."""
        splitter = self.splitter
        if max(len(splitter.partial_head), splitter.overhead_bytes) > self._limits.head_bytes:
            return HeadTooLarge("head, trailers or chunk extensions grew over the limit")
        return None

    def forget(self) -> None:
        """Free what is kept of the last head."""
        self._last_head.forget()

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
