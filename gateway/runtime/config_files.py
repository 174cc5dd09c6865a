"""The config file in use, and the candidate of ``gateway run --shadow`` that may take its place."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

from gateway.admin.promotion import Promoted, no_candidate
from gateway.config.changes import needs_restart
from gateway.config.schema import Settings
from gateway.config.source import ConfigFile, ConfigSnapshot
from gateway.core.errors import ConfigError, GatewayError
from gateway.core.ports import AuditTrail
from gateway.runtime.reload import POLL_S, ReloadRequests, WatchedFile, reloading
from gateway.runtime.service_manager import ServiceManager
from gateway.telemetry.metrics import ReloadOutcome
from gateway.util.background import background

_log = logging.getLogger("gateway")

Files = tuple[ConfigFile, ConfigFile | None]
"""The file in use, and that of the candidate."""

Apply = Callable[[Settings, ConfigSnapshot], Awaitable[None]]
"""Puts a config in use, or has the candidate decide by it. Raises `GatewayError`."""


class ConfigFiles:
    """Reloads the file in use; has the candidate decide without effect, until it is promoted."""

    def __init__(self, file: ConfigFile, candidate: ConfigFile | None, put_in_use: Apply) -> None:
        self._file = file
        self._candidate = candidate
        self._put_in_use = put_in_use
        self._lock = asyncio.Lock()

    def has_changed(self) -> bool:
        """Whether the file in use has changed; see `ConfigFile.has_changed`."""
        return self._file.has_changed()

    @property
    def warnings(self) -> tuple[str, ...]:
        """About the last reading of the file in use, for the log."""
        return self._file.warnings

    @property
    def path(self) -> Path:
        """Where the file in use is."""
        return self._file.path

    @property
    def sha256(self) -> str:
        """Of the text of the file in use, as it was read last."""
        return self._file.sha256

    async def reload(self) -> None:
        """Read the file in use again. Raises `ConfigError`, and what putting in use raises."""
        async with self._lock:
            settings, config = await asyncio.to_thread(self._file.load)
            await self._put_in_use(settings, config)

    async def promote(self) -> Promoted:
        """
        Put the candidate in use: from now on its file is the one that is watched.

        Its file is read again. Raises `NoCandidate`, or as `reload` does: then nothing has changed.
        """
        async with self._lock:
            if self._candidate is None:
                return await no_candidate()
            settings, config = await asyncio.to_thread(self._candidate.load)
            await self._put_in_use(settings, config)
            self._file, self._candidate = self._candidate, None
        _log.warning("%s was promoted: start with --config %s from now on", *[config.name] * 2)
        return Promoted(config.name, self._file.sha256)

    async def watch_candidate(self, decide_by: Apply) -> None:
        """Read the candidate again when its file changes, until it is promoted."""
        while (candidate := self._candidate) is not None:
            if candidate.has_changed():
                await self._reload_candidate(candidate, decide_by)
            await asyncio.sleep(POLL_S)

    async def _reload_candidate(self, candidate: ConfigFile, decide_by: Apply) -> None:
        async with self._lock:
            if self._candidate is not candidate:
                return
            try:
                settings, config = await asyncio.to_thread(candidate.load)
                await decide_by(settings, config)
            except ConfigError as error:
                for problem in error.problems:
                    _log.error("candidate config not reloaded: %s", problem)
            except GatewayError as error:
                _log.error("candidate config not reloaded: %s", error)
            except Exception:  # noqa: BLE001 (a defect, or no descriptor left: it is watched on)
                _log.exception("candidate config not reloaded")
            else:
                _log.info("candidate config reloaded")


class ConfigTarget(Protocol):
    """A gateway, or the supervisor of several workers: what configs are put in use by."""

    promote_candidate: Callable[[], Awaitable[Promoted]]


class ConfigOperations(Protocol):
    """The part of an operator's actions that concerns the config."""

    file: WatchedFile | None
    requests: ReloadRequests


class ConfigChanges(NamedTuple):
    """How a config is put in use, and a candidate decides or is withdrawn."""

    put_in_use: Apply
    decide_by: Apply
    withdraw: Callable[[], Awaitable[None]]
    note: Callable[[ReloadOutcome], None]
    """Called with the outcome of each change."""
    making: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around what makes a config."""


@asynccontextmanager
async def watching(
    files: Files,
    changes: ConfigChanges,
    target: ConfigTarget,
    manager: ServiceManager,
    trail: AuditTrail,
    operations: ConfigOperations,
) -> AsyncIterator[None]:
    """Reload and promote configs as files, signals and operators ask, until the context ends."""
    watched = ConfigFiles(*files, changes.put_in_use)

    async def reload() -> None:
        with manager.reloading(), changes.making():
            await watched.reload()

    async def promote() -> Promoted:
        with manager.reloading(), changes.making():
            promoted = await watched.promote()
        changes.note("applied")
        await changes.withdraw()
        return promoted

    target.promote_candidate = promote
    operations.file = watched
    reloads = reloading(watched, reload, changes.note, trail, operations.requests)
    async with reloads, background(watched.watch_candidate(changes.decide_by)):
        yield


def warn_of_restart(live: Settings, candidate: Settings) -> None:
    """Warn of parts in which the candidate differs, and that a promotion cannot change."""
    if fixed := needs_restart(live, candidate):
        _log.warning(
            "the candidate config cannot be promoted: %s: needs a restart", ", ".join(fixed)
        )
