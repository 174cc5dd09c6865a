"""Exchange of commands and replies on the transport of a connection that redis-py has opened."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import hiredis
from redis.asyncio import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse

Outcome = list[Any] | Exception
"""The replies to the commands that were sent, or why there are none."""

Receive = Callable[[Outcome], object]

_NOT_ENOUGH = object()
"""What the reader returns instead of a reply that has not arrived as a whole."""

_PLAIN = frozenset({bytes, int, type(None)})
"""Types of replies that hold no error."""


class Wire(asyncio.Protocol):
    """
    The protocol of a connection to the store, in the place of redis-py's streams.

    redis-py opens the connection: address, TLS, authentication, database. A command costs it a
    dozen coroutines; here an exchange is one write, and a call from `data_received`.

    One exchange is under way at a time, so what waits to be written is one batch at most. Whatever
    leaves the next reply in doubt closes the connection: a reply that nothing asked for, bytes
    that are none of the protocol, an exchange that is cancelled.
    """

    __slots__ = (
        "__weakref__",
        "_before",
        "_expected",
        "_reader",
        "_receive",
        "_replies",
        "_transport",
        "is_open",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        before: asyncio.BaseProtocol,
        error_of: Callable[[str], Exception],
    ) -> None:
        """Read replies from ``transport``; ``before`` is told when the connection is lost."""
        self._transport: asyncio.Transport | None = transport
        self._before: asyncio.BaseProtocol | None = before
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=error_of, notEnoughData=_NOT_ENOUGH
        )
        self._receive: Receive | None = None
        self._expected = 0
        self._replies: list[Any] = []
        self.is_open = True

    @classmethod
    def adopt(cls, connection: Connection) -> Self | None:
        """
        Take over an open ``connection`` that has no unread data; None where it has no transport.

        All that is used of redis-py beyond its documented interface is used here.
        """
        transport: Any = getattr(connection._writer, "transport", None)  # noqa: SLF001
        if not hasattr(transport, "set_protocol"):
            return None
        error_of = connection._parser.parse_error  # noqa: SLF001
        wire = cls(transport, transport.get_protocol(), error_of)
        transport.set_protocol(wire)
        return wire

    # --- exchanges ------------------------------------------------------------------------------

    def exchange(self, packed: bytes, expected: int, receive: Receive) -> None:
        """
        Send ``packed``, and call ``receive`` once: with ``expected`` replies, or with an error.

        An error reply is an exception among the replies. One that says that the server is not
        there, such as LOADING, is the outcome of the whole, as in redis-py.
        """
        if not self.is_open or self._transport is None:
            receive(RedisConnectionError(_CLOSED))
            return
        self._expected, self._receive = expected, receive
        self._transport.write(packed)

    async def replies(self, packed: bytes, expected: int) -> list[Any]:
        """Like `exchange`, for a task; a task that is cancelled closes the connection."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.exchange(packed, expected, partial(_settle, future))
        try:
            return await future
        finally:
            if future.cancelled():
                self.cancel()

    def cancel(self) -> None:
        """Close the connection; the outcome of an exchange under way is that it took too long."""
        self.close(TimeoutError())

    def close(self, error: Exception) -> None:
        """Close the connection; ``error`` is the outcome of an exchange under way."""
        if self._transport is not None:
            self._transport.abort()
        self._end(error)

    def _end(self, error: Exception) -> None:
        self.is_open = False
        self._replies = []
        receive, self._receive = self._receive, None
        if receive is not None:
            receive(error)

    # --- called by the transport ----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Deliver the replies once all of them are there."""
        receive = self._receive
        if receive is None:
            self.close(RedisConnectionError("The server replied unasked."))
            return
        try:
            self._reader.feed(data)
            is_whole = self._read()
        except Exception as error:  # noqa: BLE001 (the reader has several kinds, all in C)
            self.close(error)
            return
        if is_whole:
            if self._reader.has_data():
                self.is_open = False
                if self._transport is not None:
                    self._transport.abort()
            replies, self._replies, self._receive = self._replies, [], None
            receive(replies)

    def _read(self) -> bool:
        """Read replies; return whether all have arrived. Raises what ends the exchange."""
        gets, replies = self._reader.gets, self._replies
        while len(replies) < self._expected:
            reply = gets()
            if reply is _NOT_ENOUGH:
                return False
            if type(reply) in _PLAIN:
                replies.append(reply)
            elif type(reply) is not hiredis.PushNotification:
                _raise_if_absent(reply)
                replies.append(reply)
        return True

    def eof_received(self) -> None:
        """The transport closes itself."""
        self._end(RedisConnectionError(_CLOSED))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell redis-py's protocol, too: it waits for that when it closes a connection."""
        before, self._before, self._transport = self._before, None, None
        if before is not None:
            before.connection_lost(exc)
        self._end(RedisConnectionError(f"Error while reading: {exc}" if exc else _CLOSED))


_CLOSED = "Connection closed by server."


def _raise_if_absent(reply: object) -> None:
    """Raise an error reply, also as the first of a list, by which the server is not there."""
    first = reply[0] if isinstance(reply, list) and reply else reply
    if isinstance(first, RedisConnectionError):
        raise first


def _settle(future: asyncio.Future[list[Any]], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
