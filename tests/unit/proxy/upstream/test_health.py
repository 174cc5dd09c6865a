"""Health checks: which answers count as healthy."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, cast

import pytest

from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream import health
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.health import HealthCheck, HealthTarget, fault_of
from gateway.util.deadlines import Deadlines
from tests.fakes.transport import FakeTransport

CHECK = HealthCheck("/health", 0.001, 0.05)


class Server(NamedTuple):
    """A server that answers with ``answer``; with None it does not, or ``error`` is raised."""

    answer: bytes | None
    error: BaseException | None = None
    made: list[FakeTransport] = []  # noqa: RUF012 (given anew by `server`)

    def target(self) -> HealthTarget:
        """What is checked."""
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop, 1000.0)
        deadlines.close()

        def make() -> UpstreamConnection:
            return UpstreamConnection(loop, deadlines, WriteBatcher(loop), lambda _: None)

        return HealthTarget("app:80", self.connect, make)

    async def connect(self, make: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        """As to a server of an upstream."""
        if self.error is not None:
            raise self.error
        connection, transport = make(), FakeTransport()
        self.made.append(transport)
        connection.connection_made(transport)
        if self.answer is not None:
            asyncio.get_running_loop().call_soon(
                lambda: connection.data_received(cast("bytes", self.answer))
            )
        return connection


def server(answer: bytes | None, error: BaseException | None = None) -> Server:
    """A server of its own."""
    return Server(answer, error, [])


def status(code: int) -> bytes:
    """An answer with ``code``."""
    return b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % code


@pytest.mark.parametrize(
    ("answering", "expected"),
    [
        pytest.param(server(status(200)), None, id="200"),
        pytest.param(server(status(302)), None, id="302"),
        pytest.param(server(status(404)), "got 404 from /health", id="404"),
        pytest.param(server(status(503)), "got 503 from /health", id="503"),
        pytest.param(server(b"SSH-2.0\r\n"), "not HTTP/1", id="no-http"),
        pytest.param(server(None), "no answer from /health within 0.05 s", id="silent"),
        pytest.param(
            server(None, ConnectionRefusedError()), "ConnectionRefusedError", id="refused"
        ),
        pytest.param(server(None, OSError(111, "refused")), "[Errno 111] refused", id="error"),
        pytest.param(server(None, ZeroDivisionError()), "ZeroDivisionError", id="unexpected"),
    ],
)
async def test_a_server_is_healthy_by_its_answer(answering: Server, expected: str | None) -> None:
    """After any error the check has a result, and its connection is closed."""
    assert expected == await fault_of(CHECK, answering.target())
    assert all("abort" in transport.done for transport in answering.made)


async def test_the_request_names_the_server_and_closes() -> None:
    """No keep-alive: a health check shows that the server accepts connections."""
    asked = server(status(200))
    await fault_of(CHECK, asked.target())
    (transport,) = asked.made
    assert transport.written.startswith(b"GET /health HTTP/1.1\r\nHost: app:80\r\n")
    assert b"\r\nConnection: close\r\n" in transport.written


async def test_checks_go_on_until_they_are_cancelled() -> None:
    """Each result is told."""
    told: list[str | None] = []
    watching = asyncio.create_task(health.watch(CHECK, server(status(200)).target(), told.append))
    async with asyncio.timeout(20):
        while len(told) < 3:
            await asyncio.sleep(0.001)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert {None} == set(told)
