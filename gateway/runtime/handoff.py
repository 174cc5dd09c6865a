"""
Hand listening sockets to other processes: a living worker accepts for a dead one.

The kernel gives each connection to the socket of one worker (SO_REUSEPORT), also while that worker
is dead. The supervisor keeps the socket open and hands it (SCM_RIGHTS) to the others, which accept
from it until the successor does.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

_NUMBER = struct.Struct("!I")
_MAX_DESCRIPTORS = 253  # in one message: SCM_MAX_FD of Linux


class Handed(NamedTuple):
    """What one message says: accept for a worker from ``sockets``, or without any, no longer."""

    number: int
    sockets: Sequence[socket.socket]


class AcceptsForOthers(Protocol):
    """Accepts connections on sockets of other workers."""

    async def accept_for(self, number: int, sockets: Sequence[socket.socket]) -> None:
        """Accept for worker ``number`` from ``sockets`` alone, which are taken over."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a channel; the first one sends."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in ends:
        end.setblocking(False)
    return ends


def send(channel: socket.socket, number: int, sockets: Sequence[socket.socket]) -> None:
    """Hand over ``sockets``; a worker that has ended, or reads nothing, goes without."""
    descriptors = [sock.fileno() for sock in sockets[:_MAX_DESCRIPTORS]]
    with suppress(OSError):
        socket.send_fds(channel, [_NUMBER.pack(number)], descriptors)


def received(channel: socket.socket) -> Iterator[Handed]:
    """Yield what has come."""
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(channel, _NUMBER.size, _MAX_DESCRIPTORS)
        except BlockingIOError:
            return
        (number,) = _NUMBER.unpack(data)
        yield Handed(number, [socket.socket(fileno=descriptor) for descriptor in descriptors])


async def follow(channel: socket.socket, accepting: AcceptsForOthers) -> None:
    """Do what comes over ``channel``, until cancelled."""
    loop, has_come = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(channel, has_come.set)
    try:
        while True:
            await has_come.wait()
            has_come.clear()
            for number, sockets in received(channel):
                await accepting.accept_for(number, sockets)
    finally:
        loop.remove_reader(channel)
