"""How a connection is ended so that the client understands it."""

import asyncio
import socket
import struct

Version = tuple[int, int]
"""Of HTTP."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ClientGone(Exception):
    """The client closed the connection while we were writing to it."""


def finish(transport: asyncio.Transport, _: Version) -> None:
    """End a connection whose answers are complete."""
    transport.close()


def cut(transport: asyncio.Transport, version: Version) -> None:
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
