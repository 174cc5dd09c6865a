"""
Run several workers that share the addresses: start, watch, reload and end them.

The supervisor serves no request. It holds what all workers have in common: the listening sockets,
the embedded store, the keys of development mode, and the private listener, where the metrics of
all workers are added up.
"""

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.admin import listener
from gateway.admin.app import Status
from gateway.config.changes import needs_restart
from gateway.config.schema import Settings
from gateway.config.source import ConfigFile, ConfigSnapshot
from gateway.core.errors import MagicUnavailable, StartError, StoreUnavailable
from gateway.proxy.downstream import bind
from gateway.proxy.downstream.shared_counts import SharedCounts
from gateway.revocation.name import refusal_of
from gateway.revocation.revoke import Revocation
from gateway.runtime.cpu_count import cpu_count
from gateway.runtime.process import standalone
from gateway.runtime.reload import reloading
from gateway.runtime.serve import Stop, announce_addresses
from gateway.runtime.services.magic import asked_client_id
from gateway.runtime.services.store import store_server
from gateway.runtime.worker import WorkerConfig
from gateway.runtime.worker_process import ANSWER_S, WorkerProcess, bound_workers
from gateway.runtime.worker_rpc import NoAnswer, PeerGone
from gateway.telemetry import logs, snapshot
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import LOG_DROPPED, RELOADS, WORKER_RESTARTS, WORKERS
from gateway.telemetry.snapshot import MetricsSnapshot
from gateway.util.backoff import Backoff

_STATE_S = 0.8
"""Most of those who ask for readiness wait for a second: one worker must not use it up."""
_RELOAD_S = 30.0
_GRACE_S = 3.5
"""Time for a worker to end, beyond the time to drain."""
_HOLD_S = 1.0
"""How long connections to a dead worker wait for its successor where no other worker lives."""

_log = logging.getLogger("gateway")


class Supervisor:
    """All workers, and what they share."""

    def __init__(
        self,
        settings: Settings,
        config: ConfigSnapshot,
        worker_config: WorkerConfig,
        workers: list[WorkerProcess],
        counts: SharedCounts | None = None,
    ) -> None:
        self._settings = settings
        self._worker_config = worker_config
        self._config = config
        self._workers = workers
        self._counts = counts
        self.counters = Counters()
        """Of what the supervisor itself has seen."""
        self._ended: list[MetricsSnapshot] = []
        """The metrics of workers that have ended."""
        self._is_draining = False
        self._reloading = asyncio.Lock()
        self._keepers: list[asyncio.Task[None]] = []

    # --- workers -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Return when all serve. Raises `StartError`."""
        starts = (worker.start(self._worker_config) for worker in self._workers)
        ends = await asyncio.gather(*starts)
        for worker, end in zip(self._workers, ends, strict=True):
            self._keepers.append(asyncio.create_task(self._keep(worker, end)))

    async def _keep(self, worker: WorkerProcess, end: "Awaitable[None] | None") -> None:
        """Start another process whenever the worker ends."""
        backoff = Backoff()
        while True:
            began_s = time.monotonic()
            if end is not None:
                await asyncio.shield(end)  # it also takes the answers that come during a drain
            end = await self._restart(worker, backoff.after(time.monotonic() - began_s))

    async def _restart(self, worker: WorkerProcess, wait_s: float) -> "Awaitable[None] | None":
        status = worker.process.returncode if worker.process else None
        _log.error(
            "worker %d ended with status %s; another starts in %.1f s",
            worker.number,
            status,
            wait_s,
        )
        self._ended = [snapshot.merged([*self._ended, snapshot.gone(worker.last)])]
        worker.last = snapshot.EMPTY
        if self._counts is not None:
            self._counts.clear(worker.number)
        self.counters.add(WORKER_RESTARTS)
        stand_ins = [other for other in self._others(worker) if other.accept_for(worker)]
        if wait_s > _HOLD_S and not stand_ins:
            worker.release_sockets()
        await asyncio.sleep(wait_s)
        try:
            worker.rebind_sockets()
            return await self._start_again(worker)
        except (StartError, OSError) as error:
            _log.error("worker %d: %s", worker.number, error)
            return None

    async def _start_again(self, worker: WorkerProcess) -> Awaitable[None]:
        worker_config = self._worker_config
        end = await worker.start(worker_config)
        for other in self._others(worker):
            other.leave_to(worker)
            if other.rpc is None:
                worker.accept_for(other)
        async with self._reloading:  # one that came meanwhile has passed this worker by
            if self._config is not worker_config.config:
                await _send_config(worker, self._config)
        return end

    def _others(self, worker: WorkerProcess) -> list[WorkerProcess]:
        return [other for other in self._workers if other is not worker]

    @property
    def drain_s(self) -> float:
        """Time that the workers have to drain."""
        times = self._settings.server.timeouts
        return times.drain_s + (times.drain_delay_s or 0.0)

    async def drain(self) -> None:
        """End all workers: SIGTERM, and SIGKILL to those that exceed the time to drain."""
        self._is_draining = True
        within_s = self.drain_s + _GRACE_S
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self.signal(signal.SIGTERM)
        for worker in self._workers:
            worker.close()
        _, late = await asyncio.wait(
            [asyncio.create_task(worker.wait()) for worker in self._workers], timeout=within_s
        )
        if late:
            self.signal(signal.SIGKILL)
            await asyncio.wait(late)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all workers."""
        for worker in self._workers:
            worker.signal(number)

    # --- a new config --------------------------------------------------------------------------

    async def reload(self, settings: Settings, config: ConfigSnapshot) -> None:
        """Reload all workers or none: raises `StartError`, and then all use the old config."""
        if fixed := needs_restart(self._settings, settings):
            raise StartError(f"{', '.join(fixed)}: needs a restart")
        async with self._reloading:
            await self._tell_all(config)
            logs.configure(settings.log.level, settings.log.format)
            self._settings, self._config = settings, config
            self._worker_config = self._worker_config._replace(config=config)

    async def _tell_all(self, config: ConfigSnapshot) -> None:
        told: list[WorkerProcess] = []
        for worker in self._workers:
            answer = await _send_config(worker, config)
            told.append(worker)
            if "failed" in answer:
                for other in told:
                    await _send_config(other, self._config)
                raise StartError(answer["failed"])

    # --- for the private listener --------------------------------------------------------------

    async def state(self) -> Status:
        """See `gateway.admin.app.StatusSource`."""
        answers = await asyncio.gather(
            *(worker.ask("state", _STATE_S) for worker in self._workers), return_exceptions=True
        )
        states = [Status(**answer) for answer in answers if isinstance(answer, dict)]
        is_ready = not self._is_draining and any(state.is_ready for state in states)
        status = "draining" if self._is_draining else "ok" if is_ready else "down"
        stores = {state.store for state in states}
        return Status(is_ready, status, "ok" if "ok" in stores else "unavailable")

    async def revoke(self, name: str) -> Revocation:
        """
        See `gateway.admin.api.AdminActions`; any worker can do it, and tells the others.

        One that ended, or does not answer, may have done it: a second time does no harm. One that
        resumes later must not do it then: the issuer may have signed in again, hence ``until_s``.
        Magic may be asked for the issuers of an email address, which takes longer.
        """
        within_s = ANSWER_S + (self._settings.magic.timeout_s if "@" in name else 0)
        for worker in self._workers:
            until_s = time.time() + within_s
            try:
                answer = await worker.ask("revoke", within_s, issuer=name, until_s=until_s)
            except PeerGone:
                continue
            return _revocation(answer)
        raise StoreUnavailable("no worker serves")

    async def snapshot(self) -> MetricsSnapshot:
        """See `gateway.admin.app.StatusSource`."""
        await asyncio.gather(*(worker.refresh_metrics() for worker in self._workers))
        up = sum(worker.rpc is not None for worker in self._workers)
        levels = Counter({(WORKERS, "up"): up, (WORKERS, "down"): len(self._workers) - up})
        own = snapshot.of(self.counters, {(LOG_DROPPED, ""): logs.dropped()}, levels)
        return snapshot.merged([own, *self._ended, *(worker.last for worker in self._workers)])


def _revocation(answer: Mapping[str, Any]) -> Revocation:
    """Decode a worker's answer. Raises what the revocation has raised there."""
    if "wrong" in answer:
        raise refusal_of(answer["code"], answer["wrong"])
    if "failed" in answer:
        raise StoreUnavailable(answer["failed"])
    if "magic_failed" in answer:
        raise MagicUnavailable(answer["magic_failed"], answer["retry_after_s"])
    return Revocation.from_json(answer)


async def _send_config(worker: WorkerProcess, config: ConfigSnapshot) -> Mapping[str, Any]:
    """
    Tell ``worker`` to reload, and return its answer.

    The answer is empty if it is down: its successor starts with the config that is in use by then.
    A worker that does not answer is killed: it could resume later, and serve by an old config.
    """
    try:
        return await worker.ask("reload", _RELOAD_S, config=config._asdict())
    except NoAnswer:
        _log.error("worker %d does not answer, and is killed", worker.number)
        worker.signal(signal.SIGKILL)
    except PeerGone:
        pass
    return {}


async def supervise(
    settings: Settings,
    config: ConfigSnapshot,
    file: ConfigFile,
    on_stop: Callable[[float], object] = lambda _drain_s: None,
) -> None:
    """
    Serve with several workers until SIGTERM or SIGINT, then drain.

    ``on_stop`` is called with the time to drain, when that begins.

    Raises `StartError`, or `NotReached` where Magic has to be asked for the client id.
    """
    stop = Stop(signal.SIGTERM, signal.SIGINT)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it would end a gateway that is starting
    async with AsyncExitStack() as stack:
        workers = bound_workers(settings, workers_of(settings))
        for worker in workers:
            stack.callback(worker.close)
        store_url = await stack.enter_async_context(store_server(settings))
        worker_config = await _worker_config(settings, config, len(workers), store_url)
        descriptor = SharedCounts.create(len(workers))
        stack.callback(os.close, descriptor)
        worker_config = worker_config._replace(counts_descriptor=descriptor)
        counts = SharedCounts(descriptor, len(workers))
        supervisor = Supervisor(settings, config, worker_config, workers, counts)
        private = listener.listening(settings.admin, supervisor, supervisor)
        admin_port = await stack.enter_async_context(private)
        stack.push_async_callback(supervisor.drain)
        stop.then(lambda: supervisor.signal(signal.SIGKILL))
        await supervisor.start()

        async def reload() -> None:
            await supervisor.reload(*await asyncio.to_thread(file.load))

        async with reloading(file, reload, supervisor.counters.labelled_events(RELOADS)):
            names = dict.fromkeys(map(bind.name_of, workers[0].sockets))
            announce_addresses(names, admin_port)
            await stop.wait()
        on_stop(supervisor.drain_s)
        _log.info("draining")


async def _worker_config(
    settings: Settings, config: ConfigSnapshot, workers: int, store_url: str
) -> WorkerConfig:
    keys = standalone()
    client_id = await asked_client_id(settings)
    return WorkerConfig(config, workers, keys.seed, keys.made_up_key, store_url, client_id, ())


def workers_of(settings: Settings) -> int:
    """Return the number of workers; for ``auto`` one for each core that may be used."""
    return settings.server.workers or cpu_count(len(os.sched_getaffinity(0)), _cpu_max())


def _cpu_max() -> str:
    try:
        return Path("/sys/fs/cgroup/cpu.max").read_text()
    except OSError:
        return ""
