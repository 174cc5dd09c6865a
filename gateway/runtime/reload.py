"""Read the config again: at SIGHUP, and when one of its files has changed."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from gateway.config.findings import InvalidConfig
from gateway.config.problems import UNSET_VARIABLE
from gateway.config.source import ConfigFile
from gateway.core.errors import ConfigError, GatewayError
from gateway.telemetry.metrics import ReloadOutcome

_POLL_S = 0.5
"""How often files are looked at; a change is read once two looks agree, within a second."""

_log = logging.getLogger("gateway")

_OLD_ENVIRONMENT = (
    "a reload sees the environment of the start: restart with the new variables, or use"
    " ${file:/path}"
)

CountReload = Callable[[ReloadOutcome], None]


@asynccontextmanager
async def reloading(
    file: ConfigFile, reload: Callable[[], Awaitable[None]], count: CountReload
) -> AsyncIterator[None]:
    """
    Call ``reload`` at SIGHUP and after a change, one call at a time, until the context ends.

    What it raises is logged: the old config stays in use.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    task = asyncio.create_task(_reload_when_asked(file, asked, reload, count))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it would end a draining gateway
        task.cancel()
        await asyncio.wait([task])


async def _reload_when_asked(
    file: ConfigFile,
    asked: asyncio.Event,
    reload: Callable[[], Awaitable[None]],
    count: CountReload,
) -> None:
    while True:
        while not asked.is_set() and not file.has_changed():
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await asked.wait()
        asked.clear()
        outcome = await _try(reload)
        if outcome == "applied":
            for warning in file.warnings:
                _log.warning("%s", warning)
        count(outcome)


async def _try(reload: Callable[[], Awaitable[None]]) -> ReloadOutcome:
    """Reload once; returns the outcome, as it is counted."""
    try:
        await reload()
    except ConfigError as error:
        for problem in error.problems:
            _log.error("config not reloaded: %s", problem)
        if isinstance(error, InvalidConfig) and error.has(UNSET_VARIABLE):
            _log.error("config not reloaded: %s", _OLD_ENVIRONMENT)
    except GatewayError as error:
        _log.error("config not reloaded: %s", error)
    except Exception:  # noqa: BLE001 (a defect: the old config still serves)
        _log.exception("config not reloaded")
    else:
        _log.info("config reloaded")
        return "applied"
    return "refused"
