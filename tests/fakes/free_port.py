"""Ports for servers that have to be told one."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOWEST = 15_000
_CHANCE = random.SystemRandom()  # as the processes of pytest-xdist all seed `random` alike
_MARKS: list[int] = []
"""Descriptors of the sockets that mark the ports of this process as given; they end with it."""


def free_port() -> int:
    """
    Return a port of the loopback that is free now, and that no other call returns.

    It is not one of those that the kernel gives to clients: until the server listens, which takes
    some of them seconds, a client of another test could get it. Nor does another test get it, in
    this process or in one beside it: a server that is started again finds its port free.
    """
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
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
