"""
Sockets inherited from the parent process: systemd's socket activation, or a descriptor's number.

sd_listen_fds(3): LISTEN_FDS sockets from descriptor 3 on, for the process LISTEN_PID alone, with
their names in LISTEN_FDNAMES.
"""

import os
import socket
from collections.abc import MutableMapping
from typing import NamedTuple

from gateway.core.errors import StartError

_FIRST = 3
_MOST = 1024
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class PassedSocket(NamedTuple):
    """A descriptor that was passed to the process, and its name."""

    number: int
    name: str


def take(environ: MutableMapping[str, str], pid: int) -> tuple[PassedSocket, ...]:
    """
    Return the sockets for the process ``pid``; none if they are meant for another process.

    Removes the variables from ``environ``, so that child processes do not use them. Raises
    `StartError`.
    """
    meant_for, number, names = (environ.pop(name, None) for name in _VARIABLES)
    if meant_for != str(pid):
        return ()
    count = int(number) if number and number.isascii() and number.isdecimal() else 0
    if not 0 < count <= _MOST:
        raise StartError("LISTEN_FDS is no number of sockets")
    named = names.split(":") if names else ["unknown"] * count
    if len(named) != count:
        raise StartError("LISTEN_FDNAMES has not a name for each of LISTEN_FDS")
    return tuple(PassedSocket(_FIRST + place, name) for place, name in enumerate(named))


def adopt(number: int) -> socket.socket:
    """Return the listening socket with the descriptor ``number``. Raises `StartError`."""
    try:
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
    except OSError as error:
        raise StartError(f"fd:{number} is no open socket: {error.strerror}") from error
    try:
        is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        is_listening = 0
    if not is_listening or sock.type != socket.SOCK_STREAM:
        sock.detach()  # it belongs to the parent process, so it stays open
        raise StartError(f"fd:{number} is no listening stream socket")
    sock.setblocking(False)
    return sock
