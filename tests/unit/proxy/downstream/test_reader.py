"""How much a connection takes in before what it took is served."""

import asyncio
from collections.abc import Iterator
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest

from gateway.core.errors import BadRequest
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.reader import MAX_QUEUED, ReadState, RequestReader
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.http1.chunks import MAX_JOINED
from gateway.proxy.http1.line_table import LineTable
from gateway.proxy.http1.parser import KNOWN_NAMES, HttpProtocol, StreamReader
from gateway.proxy.http1.splitter import LONG_BODY_BYTES
from gateway.routing.client_address import client_at

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(size: int) -> bytes:
    """A request with so long a body."""
    return b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


class Reader:
    """A reader whose requests are served when the test says so."""

    def __init__(self, server: ProxyServer) -> None:
        self._protocol = HttpProtocol(server.loop)
        self._protocol.transport = Mock()
        self.reader = RequestReader(server)
        self.reader.peer = client_at(IPv4Address("192.0.2.1"))
        self.may_read_more = True

    @property
    def queued(self) -> list[str]:
        """The targets of the requests that wait."""
        return [entry[0].target for entry in self.reader.queue if isinstance(entry, tuple)]

    @property
    def bodies(self) -> list[StreamReader]:
        """Theirs."""
        return [entry[2] for entry in self.reader.queue if isinstance(entry, tuple)]

    def data_received(self, data: bytes) -> None:
        """Feed what comes from the socket."""
        self.may_read_more = self.reader.feed(data, self._protocol)

    def await_body(self) -> None:
        """Want the body that was begun last."""
        self.reader.await_body(cast("HttpProtocol", self))

    def serve(self) -> bytes:
        """Take the first of the queue, and what is there of its body; then read on."""
        entry = self.reader.queue.pop(0)
        assert isinstance(entry, tuple)
        body = entry[2].read_nowait()
        self.data_received(b"")
        return body


@pytest.fixture
def reader() -> Iterator[Reader]:
    """A reader without a socket."""
    loop = asyncio.new_event_loop()
    server = SimpleNamespace(
        loop=loop,
        limits=ConnectionLimits(),
        lines=LineTable(KNOWN_NAMES),
        next_request_id=lambda: "id",
    )
    yield Reader(cast("ProxyServer", server))
    loop.close()


def test_no_more_requests_wait_than_may(reader: Reader) -> None:
    """Also while the body before them is taken, in however small parts it came."""
    reader.data_received(CHUNKED)
    reader.await_body()
    for _ in range(100):
        reader.data_received(b"1\r\nx\r\n")
    reader.data_received(b"0\r\n\r\n" + GET * 100)
    assert MAX_QUEUED == len(reader.queued)
    assert not reader.may_read_more

    assert b"x" * 100 == reader.serve()
    assert MAX_QUEUED == len(reader.queued)


def test_no_more_bytes_of_heads_wait_than_may(reader: Reader) -> None:
    """One head over the limit of a head, however many requests might wait by their number."""
    large = b"GET /large HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 10_000 + b"\r\n\r\n"
    reader.data_received(large * MAX_QUEUED + GET * MAX_QUEUED)
    assert not reader.may_read_more
    served, most = [], []
    while reader.queued:
        most.append(max(reader.queued.count("/large") * (MAX_QUEUED // 2), len(reader.queued)))
        served.append(reader.queued[0])
        reader.serve()
    assert ["/large"] * MAX_QUEUED + ["/x"] * MAX_QUEUED == served
    assert MAX_QUEUED == max(most)


def test_nothing_is_lost_of_what_was_held(reader: Reader) -> None:
    """Each request comes once, in order, with its body."""
    reader.data_received((GET + post(3)) * 50)
    assert [b"", b"xxx"] * 50 == [reader.serve() for _ in range(100)]
    assert [] == reader.queued


def test_a_body_waits_with_the_client_while_another_request_is_served(reader: Reader) -> None:
    """It is taken in when its own is the next; chunks wait until that is admitted."""
    reader.data_received(GET)
    assert isinstance(reader.reader.next(), tuple)
    reader.data_received(post(LONG_BODY_BYTES) + GET)
    assert not reader.may_read_more
    assert ["/p"] == reader.queued
    assert not reader.bodies[0].total_bytes

    reader.reader.is_serving = False
    reader.data_received(b"")
    assert reader.bodies[0].is_eof()
    assert ["/p", "/x"] == reader.queued


def test_no_chunk_is_looked_at_before_its_request_is_admitted(reader: Reader) -> None:
    """Nor is more read: a refused request costs its head alone."""
    reader.data_received(CHUNKED + b"no size\r\n")
    assert not reader.may_read_more
    assert reader.reader.is_holding
    (body,) = reader.bodies

    reader.await_body()
    assert isinstance(body.exception(), BadRequest)
    assert ReadState.STOPPED is reader.reader.state


def test_a_body_with_a_length_is_taken_in_at_once(reader: Reader) -> None:
    """That is no work; and a refusal need not close the connection of a body that has come."""
    reader.data_received(post(1000))
    assert reader.may_read_more
    (body,) = reader.bodies
    assert body.is_eof()


def test_a_long_body_is_read_when_its_request_is_admitted(reader: Reader) -> None:
    """A refused request costs its head alone; what follows the body is read as ever."""
    data = post(2 * LONG_BODY_BYTES) + GET
    reader.data_received(data[:1000])
    assert not reader.may_read_more
    (body,) = reader.bodies
    assert 0 == body.total_bytes

    reader.await_body()
    assert reader.may_read_more
    assert reader.reader.is_taking_body
    reader.data_received(data[1000:])
    assert b"x" * (2 * LONG_BODY_BYTES) == body.read_nowait()
    assert (True, False) == (body.is_eof(), reader.reader.is_taking_body)
    assert ["/p", "/x"] == reader.queued


def test_a_flood_of_chunks_is_parsed_part_by_part(reader: Reader) -> None:
    """One call takes so many; the others have their turn before the next."""
    reader.data_received(CHUNKED)
    reader.await_body()
    (body,) = reader.bodies
    reader.data_received(b"3\r\nabc\r\n" * (MAX_JOINED * 2 + 1) + b"0\r\n\r\n" + GET)
    taken = []
    while reader.reader.is_holding:
        assert not reader.may_read_more
        taken.append(len(body.read_nowait()))
        reader.data_received(b"")
    assert [3 * MAX_JOINED] * 2 == taken
    assert b"abc" == body.read_nowait()
    assert reader.may_read_more
    assert ["/c", "/x"] == reader.queued


def test_framing_that_far_outweighs_its_data_is_refused(reader: Reader) -> None:
    """The request is malformed from there on; what is no flood goes on."""
    reader.data_received(CHUNKED)
    reader.await_body()
    (body,) = reader.bodies
    for _ in range(6000):
        reader.data_received(b"1\r\nx\r\n")
    assert b"x" * 6000 == body.read_nowait()
    for _ in range(6):
        reader.data_received(b"1\r\nx\r\n" * 1000)
    assert isinstance(body.exception(), BadRequest)
    assert ReadState.STOPPED is reader.reader.state


def test_bodies_that_wait_for_their_turn_stay_with_the_client(reader: Reader) -> None:
    """Of those behind the next one nothing is read: they would be 128 KiB each."""
    reader.data_received(post(LONG_BODY_BYTES) * 4)
    assert not reader.may_read_more
    assert ["/p"] * 2 == reader.queued
    assert [LONG_BODY_BYTES] * 4 == [len(reader.serve()) for _ in range(4)]


def test_a_read_that_follows_others_is_no_whole_request(reader: Reader) -> None:
    """What was held comes first."""
    reader.data_received(GET * (MAX_QUEUED + 2))
    assert reader.reader.take_whole(GET) is None
    assert MAX_QUEUED == len(reader.queued)
