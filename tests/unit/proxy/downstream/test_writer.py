"""Responses as bytes, and the time that a client may take for them."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.core.errors import Unauthenticated
from gateway.core.problem import problem_of
from gateway.core.request import Reply
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.downstream.writer import ResponseWriter
from gateway.proxy.http1.close import TLS_SHUTDOWN_S, ClientGone
from gateway.proxy.http1.write_batch import WriteBatcher
from tests.fakes.transport import FakeTransport

HEAD = b"HTTP/1.1 200 OK\r\n"
IDLE_S = 30.0


class Bench:
    """A writer, its transport, and a clock."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.loop = SimpleNamespace(time=lambda: self.now_s, call_soon=lambda _: None)
        batcher = WriteBatcher(cast("asyncio.AbstractEventLoop", self.loop))
        self.server = SimpleNamespace(
            loop=self.loop,
            limits=ConnectionLimits(body_idle_s=IDLE_S, min_bytes_per_s=100),
            write_batcher=batcher,
            is_draining=False,
            http_date=lambda: b"Date: now\r\n",
        )
        self.transport = FakeTransport()
        self.writer = ResponseWriter(cast("ProxyServer", self.server))
        self.writer.transport = self.transport

    def start(
        self, method: str = "GET", version: tuple[int, int] = (1, 1), *, keeps_alive: bool = True
    ) -> None:
        """Begin the response to a request."""
        self.writer.start("id-1", method, version, keeps_alive=keeps_alive)

    def written(self) -> bytes:
        """What was written in the end."""
        self.server.write_batcher.flush()
        return bytes(self.transport.written)

    def check_after(self, seconds: float) -> None:
        """Let time pass, and check the deadline."""
        self.now_s += seconds
        self.writer.check_deadline(self.now_s)


@pytest.fixture
def bench() -> Bench:
    """A writer whose connection is open."""
    return Bench()


@pytest.mark.parametrize(
    ("version", "keeps_alive", "hop"),
    [
        pytest.param((1, 1), True, b"", id="1.1"),
        pytest.param((1, 1), False, b"Connection: close\r\n", id="1.1-close"),
        pytest.param((1, 0), True, b"Connection: keep-alive\r\n", id="1.0-kept"),
        pytest.param((1, 0), False, b"Connection: close\r\n", id="1.0"),
    ],
)
def test_a_head_gets_the_fields_of_this_hop(
    bench: Bench, version: tuple[int, int], keeps_alive: bool, hop: bytes
) -> None:
    """The request's id, and what becomes of the connection."""
    bench.start(version=version, keeps_alive=keeps_alive)
    bench.writer.begin_answer(200, HEAD, b"body")
    assert HEAD + b"X-Request-Id: id-1\r\n" + hop + b"\r\nbody" == bench.written()
    assert keeps_alive is not bench.writer.will_close
    assert (200, True) == (bench.writer.status, bench.writer.has_answered)
    assert len(bench.transport.written) == bench.writer.bytes_out


def test_every_answer_of_a_draining_server_is_the_last(bench: Bench) -> None:
    """Its client is told to open a new connection, elsewhere."""
    bench.server.is_draining = True
    bench.start()
    bench.writer.begin_answer(200, HEAD, b"")
    assert bench.writer.will_close
    assert b"Connection: close" in bench.written()


def test_a_reply_to_head_has_no_body(bench: Bench) -> None:
    """But its length."""
    bench.start("HEAD")
    bench.writer.send_reply(Reply(401, (), b"refused"))
    assert b"Content-Length: 7\r\n" in bench.written()
    assert bench.written().endswith(b"\r\n\r\n")


def test_a_problem_has_the_fields_of_all_answers_to_its_request(bench: Bench) -> None:
    """Such as those of CORS; another request has none of them, and HEAD gets no body."""
    bench.start()
    bench.writer.send_problem(problem_of(Unauthenticated()), (("Vary", "Origin"),))
    first, _, document = bench.written().partition(b"\r\n\r\n")
    bench.start("HEAD")
    bench.writer.send_problem(problem_of(Unauthenticated()), ())
    second = bench.written().removeprefix(first + b"\r\n\r\n" + document)
    assert first.replace(b"\r\nVary: Origin", b"") + b"\r\n\r\n" == second
    assert b"\r\nVary: Origin\r\n" in first
    assert b"\r\nDate: now\r\n" in first
    assert b'"request_id":"id-1"' in document


def test_each_response_counts_from_zero(bench: Bench) -> None:
    """What belongs to the one before is not logged again."""
    bench.start()
    bench.writer.begin_answer(200, HEAD, b"body")
    bench.start()
    assert (0, 0, False) == (
        bench.writer.status,
        bench.writer.bytes_out,
        bench.writer.has_answered,
    )


def test_nothing_can_be_written_to_a_lost_connection(bench: Bench) -> None:
    """The exchange ends, instead of reading an answer that has no reader."""
    bench.writer.transport = None
    with pytest.raises(ClientGone):
        bench.writer.write(b"x")
    with pytest.raises(ClientGone):
        bench.writer.begin_answer(200, HEAD, b"")


def test_a_client_that_takes_nothing_is_cut_off(bench: Bench) -> None:
    """After ``body_idle_s``, not before."""
    bench.transport.unsent_bytes = 1000
    bench.writer.begin_wait()
    bench.check_after(IDLE_S - 0.1)
    assert [] == bench.transport.done
    bench.check_after(0.2)
    assert ["abort"] == bench.transport.done


def test_a_client_that_takes_enough_is_waited_for(bench: Bench) -> None:
    """As long as the rate over the whole response is kept."""
    bench.transport.unsent_bytes = 1_000_000
    bench.writer.begin_wait()
    for _ in range(10):
        bench.transport.unsent_bytes -= int(100 * IDLE_S)
        bench.check_after(IDLE_S)
    assert [] == bench.transport.done


def test_a_byte_now_and_then_does_not_hold_a_connection(bench: Bench) -> None:
    """The slow-read attack: the rate falls below ``min_bytes_per_s``."""
    bench.transport.unsent_bytes = 1_000_000
    bench.writer.begin_wait()
    for _ in range(10):
        bench.transport.unsent_bytes -= 1
        bench.check_after(IDLE_S)
    assert bench.transport.done


def test_a_client_that_keeps_up_has_no_deadline(bench: Bench) -> None:
    """After the wait, time is the app's."""
    bench.transport.unsent_bytes = 1000
    bench.writer.begin_wait()
    bench.transport.unsent_bytes = 0
    bench.writer.end_wait()
    bench.check_after(10 * IDLE_S)
    assert [] == bench.transport.done


def test_closing_writes_what_is_pending(bench: Bench) -> None:
    """An answer that waits in the batch is not lost."""
    bench.start()
    bench.writer.begin_answer(200, HEAD, b"body")
    bench.writer.close()
    assert bench.transport.written.endswith(b"body")
    assert ["close"] == bench.transport.done


def test_a_close_that_the_client_does_not_take_is_cut_off(bench: Bench) -> None:
    """Else an unread answer would hold the connection for ever."""
    bench.transport.unsent_bytes = 1000
    bench.writer.close()
    bench.check_after(IDLE_S)
    assert ["close", "abort"] == bench.transport.done


def test_an_incomplete_answer_breaks_off_http_1_0(bench: Bench) -> None:
    """Where the end of the connection is the end of the body."""
    bench.start(version=(1, 0))
    bench.writer.close(is_incomplete=True)
    assert ["reset", "abort"] == bench.transport.done


def test_a_client_has_a_moment_for_its_close_notify(bench: Bench) -> None:
    """In TLS; longer while it still reads what was sent."""
    bench.transport.can_half_close = False
    bench.transport.unsent_bytes = 10
    bench.writer.close()
    bench.check_after(TLS_SHUTDOWN_S)
    assert ["close"] == bench.transport.done
    bench.transport.unsent_bytes = 0
    bench.check_after(TLS_SHUTDOWN_S)
    assert ["close"] == bench.transport.done
    bench.check_after(IDLE_S)
    assert ["close", "abort"] == bench.transport.done


def test_ends_of_a_lost_connection_do_nothing(bench: Bench) -> None:
    """They may come in any order."""
    bench.writer.transport = None
    bench.writer.close()
    bench.writer.abort()
    assert [] == bench.transport.done


def test_a_101_is_sent_as_it_is(bench: Bench) -> None:
    """The tunnel has made its fields."""
    bench.start()
    bench.writer.switch_protocols(101, b"HTTP/1.1 101 \r\n\r\n")
    assert b"HTTP/1.1 101 \r\n\r\n" == bench.written()
    assert (101, True) == (bench.writer.status, bench.writer.has_answered)
