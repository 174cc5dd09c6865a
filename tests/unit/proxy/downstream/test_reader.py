"""How much a connection takes in before what it took is served."""

import asyncio
from collections.abc import Iterator
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest

from gateway.proxy.downstream.reader import MAX_QUEUED, ClientReader
from gateway.proxy.downstream.server import ConnectionLimits, ProxyServer
from gateway.routing.client_address import client_at

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(size: int) -> bytes:
    """A request with so long a body."""
    return b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


class Reader(ClientReader):
    """Whose requests are served when the test says so."""

    @property
    def queued(self) -> list[str]:
        """The targets that wait."""
        return [entry[0].target for entry in self._queue if isinstance(entry, tuple)]

    @property
    def is_paused(self) -> bool:
        """Whether it stopped reading because enough waits."""
        return self._buffer_paused

    def data_received(self, data: bytes) -> None:
        """As from the socket."""
        self._read(data)

    def serve(self) -> bytes:
        """Take the first of the queue, and what is there of its body; then read on."""
        entry = self._queue.pop(0)
        assert isinstance(entry, tuple)
        body = entry[2].read_nowait()
        self._read(b"")
        return body

    def _begin(self) -> None:
        self._is_serving = True


@pytest.fixture
def reader() -> Iterator[Reader]:
    """With a transport that nothing comes from."""
    loop = asyncio.new_event_loop()
    server = SimpleNamespace(loop=loop, limits=ConnectionLimits(), next_request_id=lambda: "id")
    reader = Reader(cast("ProxyServer", server))
    reader.peer = client_at(IPv4Address("192.0.2.1"))
    reader.transport = Mock()
    yield reader
    loop.close()


def test_no_more_requests_wait_than_may(reader: Reader) -> None:
    """Also while the body before them is taken, in however small parts it came."""
    reader.data_received(CHUNKED)
    for _ in range(100):
        reader.data_received(b"1\r\nx\r\n")
    reader.data_received(b"0\r\n\r\n" + GET * 100)
    assert MAX_QUEUED == len(reader.queued)
    assert reader.is_paused

    assert b"x" * 100 == reader.serve()
    assert MAX_QUEUED == len(reader.queued)


def test_nothing_is_lost_of_what_was_held(reader: Reader) -> None:
    """Each request comes once, in order, with its body."""
    reader.data_received((GET + post(3)) * 50)
    assert [b"", b"xxx"] * 50 == [reader.serve() for _ in range(100)]
    assert [] == reader.queued


def test_bodies_that_wait_for_their_turn_stay_with_the_client(reader: Reader) -> None:
    """Of those behind the next one nothing is read: they would be 128 KiB each."""
    reader.data_received(post(100_000) * 4)
    assert reader.is_paused
    assert ["/p"] * 2 == reader.queued
    assert [100_000] * 4 == [len(reader.serve()) for _ in range(4)]
