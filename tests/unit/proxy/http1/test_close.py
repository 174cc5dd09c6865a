"""How connections end: complete, incomplete, and lingering."""

import pytest

from gateway.core.errors import (
    PROBLEM_TYPES,
    BadRequest,
    RateLimited,
    RequestTimeout,
    Unauthenticated,
)
from gateway.proxy.http1 import close
from gateway.proxy.http1.close import (
    ENDS_CONNECTION,
    LINGER_S,
    LingeringClose,
    close_incomplete,
    reset,
    undelivered_bytes,
)
from tests.fakes.transport import FakeTransport

MIN_BYTES_PER_S = 100


def test_an_incomplete_answer_ends_without_its_last_bytes() -> None:
    """To HTTP/1.1 the missing rest tells; HTTP/1.0 needs a reset."""
    new, old = FakeTransport(), FakeTransport()
    close_incomplete(new, (1, 1))
    close_incomplete(old, (1, 0))
    assert ["close"] == new.done
    assert ["reset", "abort"] == old.done


def test_a_reset_does_not_flush() -> None:
    """The peer sees an error, no end of input."""
    transport = FakeTransport()
    reset(transport)
    assert ["reset", "abort"] == transport.done


def test_a_closed_socket_has_nothing_undelivered_in_the_kernel() -> None:
    """Then the transport's own buffer counts alone."""
    transport = FakeTransport()
    transport.unsent_bytes = 7
    assert 7 == undelivered_bytes(transport)


def lingering(undelivered: int) -> tuple[FakeTransport, LingeringClose]:
    """A lingering close of a transport with so many bytes left."""
    transport = FakeTransport()
    transport.unsent_bytes = undelivered
    return transport, LingeringClose(transport, MIN_BYTES_PER_S)


def test_a_lingering_close_ends_the_output_first() -> None:
    """The client learns that the answer was the last."""
    transport, _ = lingering(1000)
    assert ["write_eof"] == transport.done


def test_a_client_that_reads_is_given_more_time() -> None:
    """Each time that it took enough since the time before."""
    transport, waiting = lingering(1000)
    for _ in range(4):
        transport.unsent_bytes -= int(LINGER_S * MIN_BYTES_PER_S)
        assert waiting.go_on()
    assert "abort" not in transport.done


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(1000, id="reads-nothing"),
        pytest.param(801, id="reads-too-little"),
        pytest.param(0, id="has-read-all"),
    ],
)
def test_a_lingering_close_has_an_end(left: int) -> None:
    """When all is taken, or too little."""
    transport, waiting = lingering(1000)
    transport.unsent_bytes = left
    assert not waiting.go_on()
    assert ["write_eof", "abort"] == transport.done


def test_a_transport_that_is_closing_is_left_alone() -> None:
    """Its end is on its way."""
    transport, waiting = lingering(1000)
    transport.close()
    assert not waiting.go_on()
    assert "abort" not in transport.done


def test_only_faults_of_the_request_end_the_connection() -> None:
    """After another refusal the next request can be read as usual."""
    assert {BadRequest, RequestTimeout} <= ENDS_CONNECTION
    assert not {Unauthenticated, RateLimited} & ENDS_CONNECTION
    kinds = {kind for kind in PROBLEM_TYPES if issubclass(kind, tuple(ENDS_CONNECTION))}
    assert kinds == ENDS_CONNECTION
    assert close.TLS_SHUTDOWN_S > 0
