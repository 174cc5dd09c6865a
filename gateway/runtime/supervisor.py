"""
Several processes that share the addresses: started, watched, told of a new config, and ended.

The supervisor serves no request. It holds what all workers have in common: the listening sockets,
one of each address for each worker, so that connections that wait for a dead worker are served by
the one that takes its place; the embedded store; what development mode makes up; the private
listener, where all figures are added up.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from gateway.admin import listener
from gateway.admin.app import Status
from gateway.config.addresses import HostPort
from gateway.config.changes import needs_restart
from gateway.config.schema import Settings
from gateway.config.source import ConfigFile, ConfigSnapshot
from gateway.core.errors import NotReached, StartError, StoreUnavailable
from gateway.proxy.downstream import bind
from gateway.revocation.revoke import Revoked
from gateway.runtime import gateway as app
from gateway.runtime.cpu_count import cpu_count
from gateway.runtime.reload import reloading
from gateway.runtime.serve import Stop, announce_places
from gateway.runtime.services import store as stores
from gateway.runtime.worker import WorkerConfig
from gateway.runtime.worker_rpc import (
    NoAnswer,
    PeerGone,
    RpcClient,
    RpcConnection,
)
from gateway.telemetry import snapshot
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import RELOADS, WORKER_RESTARTS, WORKERS
from gateway.telemetry.snapshot import MetricsSnapshot
from gateway.util.backoff import Backoff

_START_S = 30.0
_STATE_S = 0.8
"""Many that ask whether we are ready wait for a second: one worker must not use it up."""
_ANSWER_S = 2.0
_RELOAD_S = 30.0
_GRACE_S = 5.0
"""What a worker may take to end, beyond the time to drain."""
_HOLD_S = 1.0
"""For so long a dead worker's connections wait for the next one; then they go to the others."""

_log = logging.getLogger("gateway")


class Worker:
    """One worker's place: its sockets, and the process that serves them now, if any."""

    def __init__(self, number: int, sockets: Iterable[socket.socket]) -> None:
        self.number = number
        self.sockets = list(sockets)
        self._away: dict[int, tuple[int, tuple[str, int]]] = {}
        """Addresses where the others serve meanwhile, by the place of their socket."""
        self.process: asyncio.subprocess.Process | None = None
        self.caller: RpcClient | None = None
        """Of a worker that serves."""
        self.last = snapshot.EMPTY
        """Its figures when they were asked for last."""

    async def ask(self, what: str, within_s: float, **more: object) -> dict[str, Any]:
        """Raises `PeerGone`."""
        if self.caller is None:
            raise PeerGone(f"worker {self.number} is down")
        return await self.caller.ask(what, within_s, **more)

    async def start(self, worker_config: WorkerConfig) -> "asyncio.Task[None]":
        """
        Return when it serves, with what waits for its end. Raises `StartError`.

        A session of its own keeps a terminal's Ctrl-C from it: the supervisor passes it on.
        """
        ours, theirs = socket.socketpair()
        worker_config = worker_config._replace(
            descriptors=tuple(sock.fileno() for sock in self.sockets)
        )
        with theirs:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.runtime.worker", str(theirs.fileno())),
                pass_fds=(theirs.fileno(), *worker_config.descriptors),
                start_new_session=True,
            )
        channel = await RpcConnection.over(ours)
        channel.send(worker_config.to_json())
        try:
            async with asyncio.timeout(_START_S):
                said = await channel.receive()
        except TimeoutError:
            said = None
        if said is None or "failed" in said:
            self.signal(signal.SIGKILL)
            await self.process.wait()
            await channel.aclose()
            raise _failed(said)
        _log.info("worker %d is process %d", self.number, self.process.pid)
        self.caller = RpcClient(channel, self._leaves)
        return asyncio.create_task(self._until_end(self.caller, channel))

    async def _until_end(self, caller: RpcClient, channel: RpcConnection) -> None:
        await caller.listen()
        if self.process is not None:
            await self.process.wait()
        self.caller = None
        await channel.aclose()

    def _leaves(self) -> None:
        """Somebody told it to end: while it drains, nothing may wait for it."""
        _log.info("worker %d ends", self.number)
        self.release_sockets()

    def release_sockets(self) -> None:
        """Let the kernel give new connections to the others; those that wait here are reset."""
        for place, sock in enumerate(self.sockets):
            is_open = sock.fileno() >= 0  # during a drain of all, they are closed
            if is_open and bind.is_shared_out(sock):
                self._away[place] = (sock.family, sock.getsockname())
                sock.close()

    def rebind_sockets(self) -> None:
        """Undo `step_aside`. Raises `OSError`."""
        for place, (family, name) in tuple(self._away.items()):
            self.sockets[place] = bind.again(family, name)
            del self._away[place]

    def close(self) -> None:
        """Take no part any more."""
        app.close_all(self.sockets)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is a process."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


def _failed(said: dict[str, Any] | None) -> StartError:
    if said is None:
        return StartError("a worker did not start")
    kind = NotReached if said["not_reached"] else StartError
    return kind(said["failed"])


class Supervisor:
    """All workers, and what they share."""

    def __init__(
        self,
        settings: Settings,
        config: ConfigSnapshot,
        worker_config: WorkerConfig,
        workers: list[Worker],
    ) -> None:
        self._settings = settings
        self._worker_config = worker_config
        self._config = config
        self._workers = workers
        self._counters = Counters()
        self._gone: list[MetricsSnapshot] = []
        """What workers that have ended had counted."""
        self._is_draining = False
        self._reloading = asyncio.Lock()
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def count(self) -> Counters:
        """What the supervisor itself has seen."""
        return self._counters

    # --- workers -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Return when all serve. Raises `StartError`."""
        starts = (worker.start(self._worker_config) for worker in self._workers)
        ends = await asyncio.gather(*starts)
        for worker, end in zip(self._workers, ends, strict=True):
            self._keepers.append(asyncio.create_task(self._keep(worker, end)))

    async def _keep(self, worker: Worker, end: "Awaitable[None] | None") -> None:
        """Whenever the worker ends, start another in its place."""
        backoff = Backoff()
        while True:
            began_s = time.monotonic()
            if end is not None:
                await asyncio.shield(end)  # it also takes the answers that come during a drain
            end = await self._next(worker, backoff.after(time.monotonic() - began_s))

    async def _next(self, worker: Worker, wait_s: float) -> "Awaitable[None] | None":
        status = worker.process.returncode if worker.process else None
        _log.error(
            "worker %d ended with status %s; another starts in %.1f s",
            worker.number,
            status,
            wait_s,
        )
        self._gone = [snapshot.merged([*self._gone, snapshot.gone(worker.last)])]
        worker.last = snapshot.EMPTY
        self._counters.add(WORKER_RESTARTS)
        if wait_s > _HOLD_S:
            worker.release_sockets()
        await asyncio.sleep(wait_s)
        try:
            worker.rebind_sockets()
            return await self._start_again(worker)
        except (StartError, OSError) as error:
            _log.error("worker %d: %s", worker.number, error)
            return None

    async def _start_again(self, worker: Worker) -> Awaitable[None]:
        worker_config = self._worker_config
        end = await worker.start(worker_config)
        async with self._reloading:  # one that came meanwhile has passed this worker by
            if self._config is not worker_config.config:
                await _hand(worker, self._config)
        return end

    async def drain(self) -> None:
        """End all workers: SIGTERM, and SIGKILL to those that take longer than they may."""
        self._is_draining = True
        times = self._settings.server.timeouts
        within_s = times.drain_s + (times.drain_delay_s or 0.0) + _GRACE_S
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self.signal(signal.SIGTERM)
        for worker in self._workers:
            worker.close()
        _, late = await asyncio.wait(
            [asyncio.create_task(_end(worker)) for worker in self._workers], timeout=within_s
        )
        if late:
            self.signal(signal.SIGKILL)
            await asyncio.wait(late)

    def signal(self, number: signal.Signals) -> None:
        """Send it to all workers."""
        for worker in self._workers:
            worker.signal(number)

    # --- a new config --------------------------------------------------------------------------

    async def reload(self, settings: Settings, config: ConfigSnapshot) -> None:
        """All workers or none: raises `StartError`, and then all use the old config."""
        if fixed := needs_restart(self._settings, settings):
            raise StartError(f"{', '.join(fixed)}: needs a restart")
        async with self._reloading:
            await self._tell(config)
            self._settings, self._config = settings, config
            self._worker_config = self._worker_config._replace(config=config)

    async def _tell(self, config: ConfigSnapshot) -> None:
        told: list[Worker] = []
        for worker in self._workers:
            answer = await _hand(worker, config)
            told.append(worker)
            if "failed" in answer:
                for other in told:
                    await _hand(other, self._config)
                raise StartError(answer["failed"])

    # --- for the private listener --------------------------------------------------------------

    async def state(self) -> Status:
        """See `gateway.admin.app.Source`."""
        answers = await asyncio.gather(
            *(worker.ask("state", _STATE_S) for worker in self._workers), return_exceptions=True
        )
        states = [Status(**answer) for answer in answers if isinstance(answer, dict)]
        is_ready = not self._is_draining and any(state.is_ready for state in states)
        status = "draining" if self._is_draining else "ok" if is_ready else "down"
        stores = {state.store for state in states}
        return Status(is_ready, status, "ok" if "ok" in stores else "unavailable")

    async def revoke(self, issuer: str) -> Revoked:
        """
        See `gateway.admin.api.Deeds`; any worker can do it, and the others hear of it.

        One that ended, or does not answer, may have done it: twice does no harm. One that comes to
        itself later must not do it then: whoever was revoked may have signed in again.
        """
        for worker in self._workers:
            until_s = time.time() + _ANSWER_S
            try:
                answer = await worker.ask("revoke", _ANSWER_S, issuer=issuer, until_s=until_s)
            except PeerGone:
                continue
            if "wrong" in answer:
                raise ValueError(answer["wrong"])
            if "failed" in answer:
                raise StoreUnavailable(answer["failed"])
            return Revoked(**answer)
        raise StoreUnavailable("no worker serves")

    async def snapshot(self) -> MetricsSnapshot:
        """See `gateway.admin.app.Source`."""
        await asyncio.gather(*map(_refresh, self._workers))
        up = sum(worker.caller is not None for worker in self._workers)
        levels = Counter({(WORKERS, "up"): up, (WORKERS, "down"): len(self._workers) - up})
        own = snapshot.of(self._counters, {}, levels)
        return snapshot.merged([own, *self._gone, *(worker.last for worker in self._workers)])


async def _hand(worker: Worker, config: ConfigSnapshot) -> Mapping[str, Any]:
    """
    What ``worker`` says to ``config``.

    Nothing if it is down: the one that takes its place starts with what is in use by then. One that
    does not answer is made to go: else it could come to itself and serve by what was revoked.
    """
    try:
        return await worker.ask("reload", _RELOAD_S, config=config._asdict())
    except NoAnswer:
        _log.error("worker %d does not answer, and is killed", worker.number)
        worker.signal(signal.SIGKILL)
    except PeerGone:
        pass
    return {}


async def _refresh(worker: Worker) -> None:
    with suppress(PeerGone):
        worker.last = MetricsSnapshot.from_json(await worker.ask("snapshot", _ANSWER_S))


async def _end(worker: Worker) -> None:
    if worker.process is not None:
        await worker.process.wait()


async def supervise(settings: Settings, config: ConfigSnapshot, file: ConfigFile) -> None:
    """
    Serve with several workers until SIGTERM or SIGINT, then drain.

    Raises `StartError`, or `NotReached` where Magic has to be asked for the client id.
    """
    stop = Stop(signal.SIGTERM, signal.SIGINT)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it would end a gateway that is starting
    async with AsyncExitStack() as stack:
        workers = _places(settings, workers_of(settings))
        for worker in workers:
            stack.callback(worker.close)
        store_url = await stack.enter_async_context(stores.embedded(settings))
        alone = app.standalone()
        worker_config = WorkerConfig(
            config,
            len(workers),
            alone.seed,
            alone.made_up_key,
            store_url,
            await app.client_id(settings),
            (),
        )
        supervisor = Supervisor(settings, config, worker_config, workers)
        private = listener.listening(settings.admin, supervisor, supervisor)
        admin_port = await stack.enter_async_context(private)
        stack.push_async_callback(supervisor.drain)
        stop.then(lambda: supervisor.signal(signal.SIGKILL))
        await supervisor.start()

        async def reload() -> None:
            await supervisor.reload(*await asyncio.to_thread(file.load))

        async with reloading(file, reload, supervisor.count.labelled_events(RELOADS)):
            names = dict.fromkeys(map(bind.name_of, workers[0].sockets))
            announce_places(names, admin_port)
            await stop.wait()
        _log.info("draining")


def workers_of(settings: Settings) -> int:
    """How many processes there are to be; ``auto``: one for each core that we may use."""
    return settings.server.workers or cpu_count(len(os.sched_getaffinity(0)), _cpu_max())


def _cpu_max() -> str:
    try:
        return Path("/sys/fs/cgroup/cpu.max").read_text()
    except OSError:
        return ""


def _places(settings: Settings, count: int) -> list[Worker]:
    """
    The workers' places, with sockets.

    TCP ports are bound alone first: a gateway that was started twice would otherwise take half of
    the other's connections, and nobody would notice.
    """
    for place in settings.server.listen:
        if isinstance(place, HostPort):
            app.close_all(bind.bind(place))
    first = app.bind_all(settings, reuse_port=True)
    try:
        others = [[bind.twin(sock) for sock in first] for _ in range(count - 1)]
    except OSError as error:
        raise StartError(f"cannot listen once more: {error.strerror}") from error
    return [Worker(number, sockets) for number, sockets in enumerate([first, *others], 1)]
