"""The sockets of a worker, and what is asked of one that is down."""

import socket
from collections.abc import Iterator

import pytest

from gateway.core.errors import NotReached, StartError
from gateway.runtime.worker_process import WorkerProcess, _start_error, bound_workers
from gateway.runtime.worker_rpc import PeerGone
from gateway.telemetry import snapshot
from tests.fakes.services import settings_of


@pytest.fixture
def workers() -> Iterator[list[WorkerProcess]]:
    bound = bound_workers(settings_of(), 2)
    yield bound
    for worker in bound:
        worker.close()


def _ports(workers: list[WorkerProcess]) -> list[int]:
    return [sock.getsockname()[1] for worker in workers for sock in worker.sockets]


def test_workers_share_the_addresses(workers: list[WorkerProcess]) -> None:
    """Each has a socket of its own for each of them."""
    assert ([1, 2], 1) == ([worker.number for worker in workers], len(set(_ports(workers))))
    assert 2 == len({sock.fileno() for worker in workers for sock in worker.sockets})


def test_a_gateway_that_was_started_twice() -> None:
    """It would take half of the other's connections."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartError, match=f"^server.listen: .* {address}: "):
            bound_workers(settings_of(server=f'listen: ["{address}"]'), 2)


def test_sockets_are_released_and_bound_again(workers: list[WorkerProcess]) -> None:
    """Meanwhile the others have all connections; the address stays the same."""
    one, before = workers[0], _ports(workers)
    one.release_sockets()
    assert [-1] == [sock.fileno() for sock in one.sockets]
    one.rebind_sockets()
    assert before == _ports(workers)


async def test_a_worker_that_is_down_answers_nothing() -> None:
    """Its last metrics are kept, and there is nothing to wait for."""
    worker = WorkerProcess(1, ())
    with pytest.raises(PeerGone, match="worker 1 is down"):
        await worker.ask("state", 1.0)
    await worker.refresh_metrics()
    await worker.wait()
    assert snapshot.EMPTY == worker.last


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (None, StartError, "a worker did not start"),
        ({"failed": "x", "not_reached": False}, StartError, "x"),
        ({"failed": "x", "not_reached": True}, NotReached, "x"),
    ],
)
def test_why_a_worker_did_not_start(
    answer: dict[str, object] | None, kind: type[StartError], message: str
) -> None:
    """In its own words, where it had any."""
    error = _start_error(answer)
    assert (kind, message) == (type(error), str(error))
