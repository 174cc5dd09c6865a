"""Requests made of what the parser returned. Reads no socket and no clock."""

from collections.abc import Callable

from gateway.core.errors import BadRequest, HeadTooLarge, Refusal
from gateway.core.request import Client, ReceivedLines, RequestHead
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.http1.head_cache import HeadCache
from gateway.proxy.http1.line_table import MAX_HEAD_BYTES, LineTable
from gateway.proxy.http1.parser import NOTHING, RawRequestMessage, StreamReader, WholeBody
from gateway.proxy.http1.splitter import MessageSplitter
from gateway.proxy.http1.strict import has_strict_line

ParsedRequest = tuple[RequestHead, RawRequestMessage | None, StreamReader]
"""
A request, the parser's message, and its body.

The message is None where the line table has read the head: then the body, if any, is whole.
"""


_METHODS = {
    method.encode("ascii"): method
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
}
"""Of the requests that the line table reads."""
_VERSION = b"HTTP/1.1"
_SKIPPED = 15
"""After fields that the parser has to judge: most that follow are of the same client program."""
_CRLF = b"\r\n"
_HEAD_END = b"\r\n\r\n"


class RequestAssembler:
    """Makes requests and refusals of bytes and the parser's messages."""

    _repeated: RequestHead
    """What was made of ``_repeated_data``."""

    __slots__ = (
        "_head_cache",
        "_is_last",
        "_limits",
        "_max_head_bytes",
        "_next_id",
        "_repeated",
        "_repeated_data",
        "_skipped",
        "has_ended",
        "splitter",
    )

    def __init__(
        self, limits: ConnectionLimits, table: LineTable, next_id: Callable[[], str]
    ) -> None:
        self.splitter = MessageSplitter()
        self._limits = limits
        self._next_id = next_id
        self._max_head_bytes = min(limits.head_bytes, MAX_HEAD_BYTES)
        self._head_cache = HeadCache(table, limits.fields)
        self._skipped = 0
        """How many of the next heads are not looked up."""
        self._repeated_data: bytes | None = None
        """The last request without a body whose fields were those of the one before."""
        self._is_last = False
        self.has_ended = False
        """Whether all of the request that the client said is its last has come."""

    def read_whole(self, data: bytes, peer: Client) -> ParsedRequest | None:
        """Return the request in ``data``, a whole read, if the line table can read all of it."""
        splitter = self.splitter
        if self._skipped or splitter.partial_head or not splitter.is_in_head:
            self._skipped = max(0, self._skipped - 1)
            return None
        if data == self._repeated_data:
            return self._repeat(self._repeated, peer)
        line_end, head_bytes = data.find(_CRLF), len(data)
        if not data.endswith(_HEAD_END):
            head_bytes = data.find(_HEAD_END) + len(_HEAD_END)
        if (
            not 0 < line_end <= head_bytes - len(_HEAD_END)
            or head_bytes > self._max_head_bytes
            or (request := _read_request_line(data[:line_end])) is None
        ):
            return None
        fields = self._head_cache.read(data[line_end + len(_CRLF) : head_bytes])
        if fields is None:
            self._skipped = _SKIPPED
            return None
        headers, lines, body_bytes, memo = fields
        if head_bytes + body_bytes != len(data):
            return None
        method, target = request
        # Half the time of a call of the class.
        head = tuple.__new__(
            RequestHead,
            (method, target, (1, 1), headers, lines, peer, self._next_id(), memo, ""),
        )
        if memo is not None and not body_bytes:
            self._repeated_data, self._repeated = data, head
        return head, None, WholeBody(data[head_bytes:]) if body_bytes else NOTHING

    def _repeat(self, before: RequestHead, peer: Client) -> ParsedRequest:
        """Return the request that ``before`` was, without a body, once more."""
        method, target, version, headers, lines, _, _, memo, upgrade = before
        head = method, target, version, headers, lines, peer, self._next_id(), memo, upgrade
        return tuple.__new__(RequestHead, head), None, NOTHING

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
        head = RequestHead(
            message.method,
            message.path,
            message.version,
            message.headers,
            ReceivedLines(
                [name.decode("latin-1") for name, _ in message.raw_headers],
                list(map(b": ".join, message.raw_headers)),
            ),
            peer,
            self._next_id(),
        )
        return head, message, body

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

    @property
    def keeps_head(self) -> bool:
        """Whether there is anything that `forget` would free."""
        return self._repeated_data is not None or not self._head_cache.is_empty

    def forget(self) -> None:
        """Free what is kept of the last head."""
        self._head_cache.forget()
        if self._repeated_data is not None:
            self._repeated_data = None
            del self._repeated


def _read_request_line(line: bytes) -> tuple[str, str] | None:
    """Return a usual method, and a target in origin-form and visible ASCII; None for others."""
    method, _, rest = line.partition(b" ")
    target, _, version = rest.partition(b" ")
    known = _METHODS.get(method)
    if known is None or version != _VERSION or not target.isascii():
        return None
    text = target.decode("ascii")
    if text[:1] != "/" or "#" in text or not text.isprintable():
        return None
    return known, text
