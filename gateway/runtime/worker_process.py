"""
One worker as its supervisor sees it: the sockets it serves, its process, and the RPC to it.

Each worker has a listening socket of its own for each address, which the supervisor holds: the
connections that wait for a dead worker are served by the one that is started in its place.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from gateway.config.addresses import HostPort
from gateway.config.schema import Settings
from gateway.core.errors import NotReached, StartError
from gateway.proxy.downstream import bind
from gateway.runtime import handoff
from gateway.runtime.services.listeners import bind_all, close_all, naming_key
from gateway.runtime.worker import WorkerConfig
from gateway.runtime.worker_rpc import PeerGone, RpcClient, RpcConnection
from gateway.telemetry import logs, snapshot
from gateway.telemetry.snapshot import MetricsSnapshot

ANSWER_S = 2.0
"""Time for a worker to answer a question."""
_START_S = 30.0

_log = logging.getLogger("gateway")


class WorkerProcess:
    """One worker's sockets, and the process that serves them now, if there is one."""

    def __init__(self, number: int, sockets: Iterable[socket.socket]) -> None:
        self.number = number
        self.sockets = list(sockets)
        self._released: dict[int, tuple[int, tuple[str, int]]] = {}
        """Family and address of each socket that was released, by its place in the list."""
        self.process: asyncio.subprocess.Process | None = None
        self.rpc: RpcClient | None = None
        """To a worker that serves."""
        self._channel: socket.socket | None = None
        """Over which it is handed sockets of other workers."""
        self.last = snapshot.EMPTY
        """Its metrics when they were asked for last."""

    async def ask(self, what: str, within_s: float, **more: object) -> dict[str, Any]:
        """Send a request and wait for its answer. Raises `PeerGone`."""
        if self.rpc is None:
            raise PeerGone(f"worker {self.number} is down")
        return await self.rpc.ask(what, within_s, **more)

    async def start(self, worker_config: WorkerConfig) -> "asyncio.Task[None]":
        """
        Start the process; returns when it serves, with a task that ends when it does.

        A session of its own keeps a terminal's Ctrl-C from it: the supervisor passes it on. Raises
        `StartError`.
        """
        ours, theirs = socket.socketpair()
        worker_config = worker_config._replace(
            number=self.number, descriptors=tuple(sock.fileno() for sock in self.sockets)
        )
        counts = worker_config.counts_descriptor
        self._close_channel()
        self._channel, their_channel = handoff.pair()
        with theirs, their_channel:
            ends = (theirs.fileno(), their_channel.fileno())
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.runtime.worker", *map(str, ends)),
                *filter(None, [logs.fixed_level()]),
                pass_fds=(*ends, *worker_config.descriptors, *([] if counts is None else [counts])),
                start_new_session=True,
            )
        connection = await RpcConnection.over(ours)
        connection.send(worker_config.to_json())
        await self._wait_until_serving(connection, self.process)
        _log.info("worker %d is process %d", self.number, self.process.pid)
        self.rpc = RpcClient(connection, self._on_leaving)
        return asyncio.create_task(self._until_end(self.rpc, connection))

    async def _wait_until_serving(
        self, connection: RpcConnection, process: asyncio.subprocess.Process
    ) -> None:
        try:
            async with asyncio.timeout(_START_S):
                answer = await connection.receive()
        except TimeoutError:
            answer = None
        if answer is None or "failed" in answer:
            self.signal(signal.SIGKILL)
            await process.wait()
            await connection.aclose()
            raise _start_error(answer)

    async def _until_end(self, rpc: RpcClient, connection: RpcConnection) -> None:
        await rpc.listen()
        if self.process is not None:
            await self.process.wait()
        self.rpc = None
        await connection.aclose()

    def _on_leaving(self) -> None:
        """Release its sockets while it drains, and count on it no more: nothing may wait for it."""
        _log.info("worker %d ends", self.number)
        self._close_channel()
        self.release_sockets()

    def accept_for(self, other: "WorkerProcess") -> bool:
        """Have the worker accept the connections of ``other``; return whether it serves."""
        if self.rpc is None or self._channel is None:
            return False
        is_open = [sock for sock in other.sockets if sock.fileno() >= 0]
        handoff.send(self._channel, other.number, list(filter(bind.can_share_port, is_open)))
        return True

    def leave_to(self, other: "WorkerProcess") -> None:
        """Undo `accept_for`."""
        if self.rpc is not None and self._channel is not None:
            handoff.send(self._channel, other.number, ())

    def release_sockets(self) -> None:
        """Let the kernel give new connections to other workers; those that wait here are reset."""
        for index, sock in enumerate(self.sockets):
            is_open = sock.fileno() >= 0  # during a drain of all, they are closed
            if is_open and bind.can_share_port(sock):
                self._released[index] = (sock.family, sock.getsockname())
                sock.close()

    def rebind_sockets(self) -> None:
        """Undo `release_sockets`. Raises `OSError`."""
        for index, (family, name) in tuple(self._released.items()):
            self.sockets[index] = bind.again(family, name)
            del self._released[index]

    def close(self) -> None:
        """Close its sockets."""
        close_all(self.sockets)
        self._close_channel()

    def _close_channel(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is a process."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def refresh_metrics(self) -> None:
        """Ask for its metrics; while it does not answer, `last` stays."""
        with suppress(PeerGone):
            self.last = MetricsSnapshot.from_json(await self.ask("snapshot", ANSWER_S))

    async def wait(self) -> None:
        """Wait until its process has ended, if there is one."""
        if self.process is not None:
            await self.process.wait()


def _start_error(answer: dict[str, Any] | None) -> StartError:
    if answer is None:
        return StartError("a worker did not start")
    kind = NotReached if answer["not_reached"] else StartError
    return kind(answer["failed"])


def bound_workers(settings: Settings, count: int) -> list[WorkerProcess]:
    """
    Bind the sockets of ``count`` workers, one of each address for each worker.

    TCP ports are bound exclusively first: a gateway that was started twice would otherwise take
    half of the other's connections unnoticed. Raises `StartError`.
    """
    for address in settings.server.listen:
        if isinstance(address, HostPort):
            with naming_key("server.listen"):
                close_all(bind.bind(address))
    first = bind_all(settings, reuse_port=True)
    try:
        others = [[bind.twin(sock) for sock in first] for _ in range(count - 1)]
    except OSError as error:
        raise StartError(f"cannot listen once more: {error.strerror}") from error
    return [WorkerProcess(number, sockets) for number, sockets in enumerate([first, *others], 1)]
