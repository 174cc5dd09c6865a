"""Ports for servers that have to be told one."""

import random
import socket
from pathlib import Path

LOWEST = 15_000
_CHANCE = random.SystemRandom()  # as the processes of pytest-xdist all seed `random` alike


def free_port() -> int:
    """
    Return a port of the loopback that is free now.

    It is not one of those that the kernel gives to clients: until the server listens, which takes
    some of them seconds, a client of another test could get it.
    """
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = _CHANCE.randrange(LOWEST, end) if end > LOWEST else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
