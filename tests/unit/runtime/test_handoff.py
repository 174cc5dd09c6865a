"""Listening sockets that are handed to other processes."""

import asyncio
import socket
from collections.abc import Iterator, Sequence

import pytest

from gateway.runtime import handoff
from gateway.util.background import background

Channel = tuple[socket.socket, socket.socket]


@pytest.fixture
def channel() -> Iterator[Channel]:
    """Both ends of a channel."""
    ends = handoff.pair()
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket to hand over."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


class Accepting:
    """Notes for which workers it accepts, on which ports."""

    def __init__(self) -> None:
        self.ports: list[tuple[int, list[int]]] = []
        self.is_done = asyncio.Event()

    async def accept_for(self, number: int, sockets: Sequence[socket.socket]) -> None:
        self.ports.append((number, [sock.getsockname()[1] for sock in sockets]))
        for sock in sockets:
            sock.close()
        if not sockets:
            self.is_done.set()


async def test_sockets_arrive_in_order(channel: Channel, listening: socket.socket) -> None:
    """Each message names the dead worker; the last one says that it is over."""
    ours, theirs = channel
    accepting, port = Accepting(), listening.getsockname()[1]
    handoff.send(ours, 3, [listening, listening])
    async with background(handoff.follow(theirs, accepting)), asyncio.timeout(20):
        await asyncio.sleep(0)
        handoff.send(ours, 3, [])
        await accepting.is_done.wait()
    assert [(3, [port, port]), (3, [])] == accepting.ports


def test_the_socket_is_the_same_one(channel: Channel, listening: socket.socket) -> None:
    """What waits for a worker is accepted by the one that was handed its socket."""
    ours, theirs = channel
    with socket.create_connection(listening.getsockname()) as client:
        handoff.send(ours, 1, [listening])
        (handed,) = handoff.received(theirs)
        with handed.sockets[0] as sock:
            accepted, _ = sock.accept()
        with accepted:
            accepted.sendall(b"hello")
            assert b"hello" == client.recv(5)


def test_a_worker_that_has_ended(channel: Channel, listening: socket.socket) -> None:
    """It goes without, and the supervisor goes on."""
    ours, theirs = channel
    theirs.close()
    handoff.send(ours, 1, [listening])
    assert listening.fileno() >= 0
