"""How a connection is ended so that the client can tell a complete answer from a broken one."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios

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

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

TLS_SHUTDOWN_S = 2.0
"""How long a client may take to send its close_notify; what it sends before that is dropped."""

LINGER_S = 2.0
"""How often a lingering close checks whether the client still reads."""

ENDS_CONNECTION: frozenset[type[Refusal]] = frozenset(
    {
        BadRequest,
        BadTarget,
        BadHost,
        HeadTooLarge,
        BodyTooLarge,
        RequestTimeout,
        Overloaded,
        ExpectationFailed,
        UnsupportedCoding,
        UnsupportedMethod,
        UnsupportedUpgrade,
        UnsupportedVersion,
    }
)
"""Refusals after which the connection closes: what the client sends next may be anything."""


class ClientGone(Exception):
    """Raised when the client closes the connection while the gateway writes to it."""


def close_incomplete(transport: asyncio.Transport, version: tuple[int, int]) -> None:
    """
    End an answer that cannot be completed, so that the client sees that it is not complete.

    With a length or chunks the missing rest tells; to HTTP/1.0, where the end of the connection may
    be the end of the body, only a reset does.
    """
    if version >= (1, 1):
        transport.close()
    else:
        reset(transport)


def reset(transport: asyncio.Transport) -> None:
    """Reset a connection, so that the peer cannot take it for a clean end."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


class LingeringClose:
    """
    Closes the sending side, and waits while the client reads what was sent.

    Closing with unread bytes in the socket resets the connection, and the reset overtakes the
    answer (RFC 9112 section 9.6). So the gateway reads, and drops, until the client closes or stops
    reading. nginx calls this a lingering close.
    """

    __slots__ = ("_min_bytes", "_transport", "_undelivered_bytes")

    def __init__(self, transport: asyncio.Transport, min_bytes_per_s: int) -> None:
        self._transport = transport
        self._min_bytes = LINGER_S * min_bytes_per_s
        transport.write_eof()
        self._undelivered_bytes = undelivered_bytes(transport)

    def go_on(self) -> bool:
        """Abort unless the client took enough in the last `LINGER_S`; return whether it did."""
        if self._transport.is_closing():
            return False
        left_bytes = undelivered_bytes(self._transport)
        taken_bytes = self._undelivered_bytes - left_bytes
        if not left_bytes or taken_bytes < self._min_bytes:
            self._transport.abort()
            return False
        self._undelivered_bytes = left_bytes
        return True


def undelivered_bytes(transport: asyncio.Transport) -> int:
    """Return how much the peer has not acknowledged: in the transport's buffer and the kernel's."""
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    return waiting + _in_kernel(sock.fileno()) if sys.platform == "linux" else waiting


def _in_kernel(descriptor: int) -> int:
    """SIOCOUTQ, of tcp(7) and unix(7); it has the number of TIOCOUTQ."""
    try:
        answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    except OSError:  # it is closed; its protocol will be told in a moment
        return 0
    return int.from_bytes(answer, sys.byteorder, signed=True)
