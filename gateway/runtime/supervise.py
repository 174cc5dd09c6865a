"""Serve with several workers: build the supervisor and what it holds, and run it to its end."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gateway.admin.listener import AdminServices
from gateway.config.schema import Settings
from gateway.config.source import ConfigSnapshot
from gateway.proxy.downstream import bind
from gateway.proxy.downstream.shared_counts import SharedCounts
from gateway.runtime.config_files import ConfigChanges, Files, watching
from gateway.runtime.cpu_count import cpu_count
from gateway.runtime.operations import ProcessOperations, process_operations
from gateway.runtime.private_listener import dashboard_socket, private_listener
from gateway.runtime.process import standalone
from gateway.runtime.serve import Stop, announce_addresses, ignore_until_started
from gateway.runtime.service_manager import ServiceManager
from gateway.runtime.services.audit import ProcessAudit, process_audit
from gateway.runtime.services.magic import asked_client_id
from gateway.runtime.services.metrics import noting_reloads
from gateway.runtime.services.store import open_store, store_server
from gateway.runtime.services.unmarked import unmarked_warnings
from gateway.runtime.supervisor import Supervisor
from gateway.runtime.worker import WorkerConfig
from gateway.runtime.worker_process import WorkerProcess, bound_workers
from gateway.telemetry.counters import Counters

_log = logging.getLogger("gateway")


async def supervise(
    settings: Settings,
    config: ConfigSnapshot,
    files: Files,
    on_stop: Callable[[float], object] = lambda _drain_s: None,
    candidate: ConfigSnapshot | None = None,
) -> None:
    """
    Serve with several workers until SIGTERM or SIGINT, then drain.

    ``on_stop`` is called with the time to drain, when that begins. The workers decide by
    ``candidate`` too, without effect.

    Raises `StartError`, or `NotReached` where Magic has to be asked for the client id.
    """
    stop = Stop(signal.SIGTERM, signal.SIGINT)
    ignore_until_started()
    async with AsyncExitStack() as stack:
        workers = bound_workers(settings, workers_of(settings))
        for worker in workers:
            stack.callback(worker.close)
        store_url = await stack.enter_async_context(store_server(settings))
        worker_config = await _worker_config(settings, config, len(workers), store_url)
        path = stack.enter_context(dashboard_socket(settings))
        worker_config = worker_config._replace(dashboard_socket=path)
        store = await stack.enter_async_context(open_store(store_url, settings))
        counters = Counters()
        audit = await stack.enter_async_context(
            process_audit(settings, "supervisor", store, counters)
        )
        worker_config = worker_config._replace(candidate=candidate)
        supervisor = _supervisor(settings, worker_config, workers, (audit, counters), stack)
        key, trail = worker_config.made_up_key, audit.trail
        operations = await stack.enter_async_context(
            process_operations(lambda: supervisor.settings, store_url, store, key, trail)
        )
        operations.stop = stop.now
        services = AdminServices(supervisor, supervisor, trail, operations)
        private = await stack.enter_async_context(
            private_listener(lambda: supervisor.settings, services, path)
        )
        stack.push_async_callback(supervisor.drain)
        stop.then(lambda: supervisor.signal(signal.SIGKILL))
        await supervisor.start()

        manager = ServiceManager(os.environ)
        watching = _watching(supervisor, files, manager, audit, operations)
        async with watching, manager.watched(supervisor.is_alive):
            names = dict.fromkeys(map(bind.name_of, workers[0].sockets))
            announce_addresses(names, private)
            manager.ready()
            await stop.wait()
        on_stop(supervisor.drain_s)
        manager.stopping(supervisor.drain_s)
        _log.info("draining")


def _supervisor(
    settings: Settings,
    worker_config: WorkerConfig,
    workers: list[WorkerProcess],
    own: tuple[ProcessAudit, Counters],
    stack: AsyncExitStack,
) -> Supervisor:
    """
    Make the supervisor, with the counts that all workers share; ``stack`` closes them.

    ``own`` are the audit log and the counters of the supervisor itself.
    """
    descriptor = SharedCounts.create(len(workers))
    stack.callback(os.close, descriptor)
    counts = SharedCounts(descriptor, len(workers))
    worker_config = worker_config._replace(counts_descriptor=descriptor)
    return Supervisor(settings, worker_config.config, worker_config, workers, counts, *own)


@asynccontextmanager
async def _watching(
    supervisor: Supervisor,
    files: Files,
    manager: ServiceManager,
    audit: ProcessAudit,
    operations: ProcessOperations,
) -> AsyncIterator[None]:
    """Reload and promote configs, and reopen files at SIGUSR1, until the context ends."""

    async def put_in_use(settings: Settings, config: ConfigSnapshot) -> None:
        await supervisor.reload(settings, config)
        look_for_unmarked(settings)

    async def decide_by(_: Settings, candidate: ConfigSnapshot) -> None:
        await supervisor.use_candidate(candidate)

    async def withdraw() -> None:
        await supervisor.use_candidate(None)

    def reopen() -> None:
        audit.trail.reopen()
        supervisor.reopen_files()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, reopen)
    note = noting_reloads(supervisor.counters)
    changes = ConfigChanges(put_in_use, decide_by, withdraw, note)
    async with (
        unmarked_warnings(supervisor.settings) as look_for_unmarked,
        watching(files, changes, supervisor, manager, audit.trail, operations),
    ):
        yield


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
