"""What a client sent, as requests that wait for their turn. Holds no socket and no clock."""

from collections.abc import Callable

from multidict import CIMultiDictProxy

from gateway.errors import HeadTooLarge, Refusal
from gateway.messages import Caller, Memo, RawFields, RequestHead
from gateway.proxy.head_meter import HeadMeter
from gateway.proxy.http1 import NOTHING, RawRequestMessage, StreamReader
from gateway.proxy.plane import Bounds
from gateway.proxy.repeats import LastHead, ends_with_its_head
from gateway.proxy.strictness import fault, is_plain, oversize

Parsed = tuple[RawRequestMessage, StreamReader]

Arrived = tuple[RequestHead, RawRequestMessage | None, StreamReader]
"""
A request, how it was parsed, and its body.

What was not parsed anew has no body and nothing that would have to be judged.
"""


_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Inbox:
    """Turns what was read, and what the parser made of it, into requests and refusals."""

    __slots__ = ("_bounds", "_chunks_end", "_last_head", "_meter", "_next_id", "is_closed")

    def __init__(self, bounds: Bounds, next_id: Callable[[], str]) -> None:
        self._bounds = bounds
        self._next_id = next_id
        self._meter = HeadMeter(bounds.head_bytes)
        self._last_head = LastHead(bounds.head_bytes)
        self._chunks_end: bytes | None = None
        """The last bytes that came of the chunked body that the parser is in; None in others."""
        self.is_closed = False
        """
        Whether nothing more can be read: a chunked body had trailers, or was not the last to come.

        aiohttp's parser (3.14.5) keeps the last trailer of a message and makes it the first field
        of the next one: a credential in a trailer would be the next request's. It does not show
        trailers, but a body that ends with its last chunk has none.
        """

    @property
    def pending_bytes(self) -> int:
        """Of a head that is not complete, as far as is known."""
        return self._meter.pending_bytes

    def recall(self, data: bytes, peer: Caller) -> Arrived | None:
        """The request that a read holds, where it repeats the one before; else it is parsed."""
        recalled = self._last_head.recall(data)
        if recalled is None:
            return None
        method, target, (headers, raw_fields, memo) = recalled
        request_id = self._next_id()
        head = RequestHead(method, target, (1, 1), headers, raw_fields, peer, request_id, memo)
        return head, None, NOTHING

    def arrivals(
        self, messages: list[Parsed], data: bytes, peer: Caller
    ) -> list[Arrived | Refusal]:
        """The requests that a read completed, and what is wrong with each as a head."""
        begun, body = self._last_head.begun, messages[-1][1]
        if self._chunks_end is not None:
            self.is_closed = True  # what came behind a chunked body, in one read with its end
            return []
        may_be_long = self._meter.complete(len(data), body.total_bytes)
        if (refusal := fault(messages, begun, data)) is not None:
            return [refusal]
        found: list[Arrived | Refusal] = []
        for message, stream in messages:
            memo = self._learn(data, message, body) if len(messages) == 1 else None
            too_much = oversize(message, self._bounds, may_be_long=may_be_long)
            found.append(too_much or (self._head(message, peer, memo), message, stream))
            if message.chunked:
                self._chunks_end = ((begun or b"") + data)[-len(_LAST_CHUNK) :]
                self.is_closed = stream is not body
                self._look_at_chunks(stream)
                break
        is_between = body is NOTHING and ends_with_its_head(data)
        self._last_head.begun = b"" if is_between else None
        return found

    def go_on(self, data: bytes, body: StreamReader, *, was_in_body: bool) -> Refusal | None:
        """Note a read that completed no head; why it is too much, if it is."""
        if self._chunks_end is not None:
            self._chunks_end = (self._chunks_end + data)[-len(_LAST_CHUNK) :]
            self._look_at_chunks(body)
        if was_in_body and self._meter.body_went_on(body):
            self._last_head.begun = None
            return None
        if self._last_head.begun is not None:
            self._last_head.begun += data
        if self._meter.exceeds(len(data)):
            return HeadTooLarge("head, trailers or chunk extensions grew over the limit")
        return None

    def _look_at_chunks(self, body: StreamReader) -> None:
        if body.is_eof():
            if self._chunks_end != _LAST_CHUNK:
                self.is_closed = True
            self._chunks_end = None

    def hibernate(self) -> bool:
        """Forget what came, if the next byte is known to be the first of a head; whether it is."""
        is_between = self._last_head.begun == b""
        if is_between:
            self._last_head.forget()
        return is_between

    def _learn(self, data: bytes, message: RawRequestMessage, body: StreamReader) -> Memo | None:
        if body is NOTHING and is_plain(message):
            return self._last_head.learn(data, message.headers, message.raw_headers)
        return None

    def _head(self, message: RawRequestMessage, peer: Caller, memo: Memo | None) -> RequestHead:
        fields: tuple[CIMultiDictProxy[str], RawFields] = message.headers, message.raw_headers
        request_id = self._next_id()
        return RequestHead(
            message.method, message.path, message.version, *fields, peer, request_id, memo
        )
