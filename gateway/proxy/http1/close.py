"""How a connection is ended so that the client understands it."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios

Version = tuple[int, int]
"""Of HTTP."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

FAREWELL_S = 2.0
"""How long a client that has taken all may take to end TLS too; what it still sends is dropped."""


class ClientGone(Exception):
    """The client closed the connection while we were writing to it."""


def close(transport: asyncio.Transport, _: Version) -> None:
    """End a connection whose answers are complete."""
    transport.close()


def close_incomplete(transport: asyncio.Transport, version: Version) -> None:
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
    """Break a connection off, so that nobody takes it for a clean end."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def untaken_bytes(transport: asyncio.Transport) -> int:
    """What the peer has not taken yet, as far as the kernel tells: here and in its buffers."""
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    return waiting + _in_kernel(sock.fileno()) if sys.platform == "linux" else waiting


def _in_kernel(descriptor: int) -> int:
    """SIOCOUTQ, of tcp(7) and unix(7); it has the number of TIOCOUTQ."""
    try:
        answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    except OSError:  # closed, and its protocol will hear of it in a moment
        return 0
    return int.from_bytes(answer, sys.byteorder, signed=True)
