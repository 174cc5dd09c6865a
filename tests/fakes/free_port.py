"""Ports for servers that have to be told one."""

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

LOWEST = 15_000
_CHANCE = random.SystemRandom()  # as the processes of pytest-xdist all seed `random` alike
_MARKS: list[int] = []
"""Descriptors of the sockets that mark the ports of this process as given; they end with it."""
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_SOCKETS = Path("/proc/net/sockstat")
TIME_WAIT_S = 60.0
"""How long Linux keeps a port that was closed."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time."""


class HasOptions(Protocol):
    """A socket, or the half of one that asyncio shows."""

    def setsockopt(self, level: int, name: int, value: bytes, /) -> None: ...


def keep_no_port(client: HasOptions) -> None:
    """
    Have a connection end with a reset, for clients that open thousands.

    What is closed in the usual way keeps its port for a minute, in TIME_WAIT. Linux gives clients
    28 000 ports, and when all wait, no test can connect or listen.
    """
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def ports_are_left() -> bool:
    """Whether a third of the ports for clients, or more, do not wait."""
    first, last = map(int, _RANGE.read_text().split())
    tcp = next(line for line in _SOCKETS.read_text().splitlines() if line.startswith("TCP:"))
    words = tcp.split()
    return int(words[words.index("tw") + 1]) < (last - first) * 2 // 3


def free_port() -> int:
    """
    Return a port of the loopback that is free now, and that no other call returns.

    It is not one of those that the kernel gives to clients: until the server listens, which takes
    some of them seconds, a client of another test could get it. Nor does another test get it, in
    this process or in one beside it: a server that is started again finds its port free.
    """
    end = int(_RANGE.read_text().split()[0])
    while True:
        port = _CHANCE.randrange(LOWEST, end) if end > LOWEST else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
        if _is_ours(found):
            return found


def _is_ours(port: int) -> bool:
    """Mark a port as given until this process ends; False where that was done before."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0gateway-tests-port-{port}")  # a name without a file: Linux forgets it itself
    except OSError:
        mark.close()
        return False
    _MARKS.append(mark.detach())
    return True


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port of the loopback that refuses connections, and that no other program gets."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
