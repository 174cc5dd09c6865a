"""
Run several workers that share the addresses: start, watch, reload and end them.

The supervisor serves no request. It holds what all workers have in common: the listening sockets,
the embedded store, the keys of development mode, and the private listener, where the metrics of
all workers are added up.
"""

import asyncio
import logging
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gateway.admin.figures import Overview
from gateway.admin.promotion import Promoted, no_candidate
from gateway.admin.status import Status, StatusCheck, merged_checks
from gateway.authn.jwt.key_set import DEADLINE_S
from gateway.config.changes import needs_restart
from gateway.config.schema import Settings
from gateway.config.source import ConfigSnapshot
from gateway.core.errors import MagicUnavailable, StartError, StoreUnavailable
from gateway.proxy.downstream.shared_counts import SharedCounts
from gateway.revocation.name import refusal_of
from gateway.revocation.revoke import Revocation
from gateway.runtime.services.audit import ProcessAudit, changing
from gateway.runtime.services.metrics import (
    audit_level,
    config_names,
    snapshot_of_process,
)
from gateway.runtime.worker import WorkerConfig
from gateway.runtime.worker_process import ANSWER_S, WorkerProcess
from gateway.runtime.worker_rpc import NoAnswer, PeerGone
from gateway.telemetry import logs, snapshot
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import WORKER_RESTARTS, WORKERS
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
        audit: ProcessAudit | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._settings = settings
        self._worker_config = worker_config
        self._config = config
        self._workers = workers
        self._counts = counts
        self._audit = audit
        self.counters = counters or Counters()
        """Of what the supervisor itself has seen, and of its audit log."""
        self._ended: list[MetricsSnapshot] = []
        """The metrics of workers that have ended."""
        self._has_started = self._is_draining = False
        self._reloading = asyncio.Lock()
        self._reopens = 0
        """How often files were to be opened anew."""
        self._keepers: list[asyncio.Task[None]] = []
        self.promote_candidate: Callable[[], Awaitable[Promoted]] = no_candidate

    # --- workers -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Return when all serve. Raises `StartError`."""
        starts = (worker.start(self._worker_config) for worker in self._workers)
        ends = await asyncio.gather(*starts)
        for worker, end in zip(self._workers, ends, strict=True):
            self._keepers.append(asyncio.create_task(self._keep(worker, end)))
        self._has_started = True

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
        """
        Start it without the candidate, and tell it of that when it serves.

        A candidate that cannot be used any more, such as without a file that it names, must not
        keep a worker from serving.
        """
        has_candidate, reopens = self._worker_config.candidate is not None, self._reopens
        worker_config = self._worker_config._replace(candidate=None, is_shadowed=has_candidate)
        end = await worker.start(worker_config)
        if reopens != self._reopens:
            worker.signal(signal.SIGUSR1)
        for other in self._others(worker):
            other.leave_to(worker)
            if other.rpc is None:
                worker.accept_for(other)
        async with self._reloading:  # one that came meanwhile has passed this worker by
            if self._config is not worker_config.config:
                await _send_config(worker, self._config)
            if self._worker_config.candidate is not None:
                answer = await _send_candidate(worker, self._worker_config.candidate)
                if "failed" in answer:
                    failed = answer["failed"]
                    _log.error("worker %d does without the candidate: %s", worker.number, failed)
        return end

    def _others(self, worker: WorkerProcess) -> list[WorkerProcess]:
        return [other for other in self._workers if other is not worker]

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._settings

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

    def reopen_files(self) -> None:
        """
        Have the workers go on in the files that have the names now.

        One that starts may have opened the old ones: it is told once it serves, and hears signals.
        """
        self._reopens += 1
        for worker in self._workers:
            if worker.rpc is not None:
                worker.signal(signal.SIGUSR1)

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
            with changing(self._audit, settings):
                await self._tell_all(config)
            logs.configure(settings.log.level, settings.log.format)
            self._settings, self._config = settings, config
            names = config_names(settings)
            self._ended = [snapshot.without_removed(each, names) for each in self._ended]
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

    async def use_candidate(self, config: ConfigSnapshot | None) -> None:
        """
        Have the workers decide by ``config`` too, without effect; None for no more.

        All of them or none: raises `StartError` where one cannot.
        """
        async with self._reloading:
            before = self._worker_config.candidate
            told: list[WorkerProcess] = []
            for worker in self._workers:
                answer = await _send_candidate(worker, config)
                if "failed" in answer:
                    for other in told:
                        await _send_candidate(other, before)
                    raise StartError(answer["failed"])
                told.append(worker)
            self._worker_config = self._worker_config._replace(candidate=config)

    async def promote(self) -> Promoted:
        """See `gateway.admin.api.AdminActions`."""
        return await self.promote_candidate()

    # --- for the private listener --------------------------------------------------------------

    async def state(self) -> Status:
        """See `gateway.admin.app.StatusSource`."""
        states = await self._states()
        is_ready = not self._is_draining and any(state.is_ready for state in states)
        up, count = len(states), len(self._workers)
        return Status(
            is_ready,
            self._status(is_ready=is_ready),
            "ok" if any(state.store == "ok" for state in states) else "unavailable",
            self._has_started,
            (
                StatusCheck("workers", up == count, f"{up} of {count} answer"),
                *merged_checks(check for state in states for check in state.checks),
            ),
            self._audit_state(states),
        )

    async def _states(self) -> list[Status]:
        """Ask all workers at once; those that are down, or do not answer in time, are left out."""
        answers = await asyncio.gather(
            *(worker.ask("state", _STATE_S) for worker in self._workers), return_exceptions=True
        )
        return [Status.from_json(answer) for answer in answers if isinstance(answer, dict)]

    def _audit_state(self, states: Sequence[Status]) -> str:
        own = "" if self._audit is None else self._audit.trail.state
        audits = {own, *(state.audit for state in states)}
        return "failing" if "failing" in audits else max(audits)

    def _status(self, *, is_ready: bool) -> str:
        if self._is_draining:
            return "draining"
        if not self._has_started:
            return "starting"
        return "ok" if is_ready else "down"

    async def is_alive(self) -> bool:
        """Whether any worker answers; see `ServiceManager.watched`."""
        return bool(await self._states())

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

    async def explain(self, document: object) -> Mapping[str, Any]:
        """
        See `gateway.admin.api.AdminActions`; any worker serves as the others do.

        The keys of an issuer may have to be read for it, and Magic to be asked.
        """
        within_s = ANSWER_S + DEADLINE_S + self._settings.magic.timeout_s
        for worker in self._workers:
            with suppress(PeerGone):
                answer = await worker.ask("explain", within_s, document=document)
                if "wrong" in answer:
                    raise ValueError(answer["wrong"])
                _raise_unavailable(answer)
                explanation: Mapping[str, Any] = answer["explanation"]
                return explanation
        raise StoreUnavailable("no worker serves")

    async def snapshot(self) -> MetricsSnapshot:
        """See `gateway.admin.app.StatusSource`."""
        return (await self.overview()).whole

    async def overview(self) -> Overview:
        """See `gateway.admin.feed.DashboardSource`."""
        await asyncio.gather(*(worker.refresh_metrics() for worker in self._workers))
        up = sum(worker.rpc is not None for worker in self._workers)
        levels = Counter({(WORKERS, "up"): up, (WORKERS, "down"): len(self._workers) - up})
        audit = {} if self._audit is None else audit_level(self._audit.trail)
        own = snapshot_of_process(self.counters, {}, {**levels, **audit})
        parts = {f"worker {worker.number}": worker.last for worker in self._workers}
        whole = snapshot.merged([own, *self._ended, *parts.values()])
        return Overview(whole, {**parts, "supervisor": own})

    async def refusals(self, since: str) -> list[Mapping[str, Any]]:
        """See `gateway.admin.feed.DashboardSource`; a worker that is down has told of none."""
        asked = (worker.ask("refusals", _STATE_S, since=since) for worker in self._workers)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return [
            refusal
            for answer in answers
            if isinstance(answer, dict)
            for refusal in answer["refusals"]
        ]


def _revocation(answer: Mapping[str, Any]) -> Revocation:
    """Decode a worker's answer. Raises what the revocation has raised there."""
    if "wrong" in answer:
        raise refusal_of(answer["code"], answer["wrong"])
    _raise_unavailable(answer)
    return Revocation.from_json(answer)


def _raise_unavailable(answer: Mapping[str, Any]) -> None:
    """Raise what a worker needed and did not reach, if anything."""
    if "failed" in answer:
        raise StoreUnavailable(answer["failed"])
    if "magic_failed" in answer:
        raise MagicUnavailable(answer["magic_failed"], answer["retry_after_s"])


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


async def _send_candidate(
    worker: WorkerProcess, config: ConfigSnapshot | None
) -> Mapping[str, Any]:
    """Tell ``worker`` to decide by ``config`` too; empty if it is down: its successor is told."""
    sent = None if config is None else config._asdict()
    try:
        return await worker.ask("candidate", _RELOAD_S, config=sent)
    except NoAnswer:
        _log.error("worker %d does not answer about the candidate", worker.number)
    except PeerGone:
        pass
    return {}
