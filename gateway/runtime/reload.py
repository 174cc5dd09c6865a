"""Read the config again: at SIGHUP, and when one of its files has changed."""

import asyncio
import logging
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from gateway.admin.access import Operator
from gateway.audit.switch import NO_AUDIT
from gateway.config.findings import InvalidConfig
from gateway.config.problems import UNSET_VARIABLE
from gateway.core.audit import AuditEntry, AuditEvent, AuditResult
from gateway.core.errors import ConfigError, GatewayError
from gateway.core.ports import AuditTrail
from gateway.telemetry.metrics import ReloadOutcome

POLL_S = 0.5
"""How often files are looked at; a change is read once two looks agree, within a second."""

_REMEMBERED: Final = 20
"""Reloads that the dashboard shows."""

_log = logging.getLogger("gateway")

_OLD_ENVIRONMENT = (
    "a reload sees the environment of the start: restart with the new variables, or use"
    " ${file:/path}"
)

CountReload = Callable[[ReloadOutcome], None]


class ReloadEntry(NamedTuple):
    """What became of one reload."""

    at_s: float
    """In Unix time."""
    why: str
    outcome: ReloadOutcome
    problems: tuple[str, ...]
    """Why it was refused; empty where it was applied."""


class NoMoreReloads(GatewayError):
    """The gateway ends: no config is read any more."""


class ReloadRequests:
    """Asks for reloads, and remembers what became of the last ones."""

    def __init__(self) -> None:
        self.history: deque[ReloadEntry] = deque(maxlen=_REMEMBERED)
        self.asked = asyncio.Event()
        self.asked_by: list[Operator] = []
        """Operators that wait for the next outcome."""
        self._next: asyncio.Future[ReloadEntry] | None = None
        self._begun: asyncio.Future[ReloadEntry] | None = None
        self._has_ended = False

    async def ask(self, operator: Operator) -> ReloadEntry:
        """Have the config be read again for ``operator``. Raises `NoMoreReloads`."""
        if self._has_ended:
            raise NoMoreReloads
        self.asked_by.append(operator)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        self.asked.set()
        return await asyncio.shield(self._next)

    def begin(self) -> "BegunReload":
        """Take what was asked for so far: what is asked from now on is for the next reload."""
        why = "SIGHUP" if self.asked.is_set() else "a file changed"
        begun = BegunReload("the API" if self.asked_by else why, self.asked_by, self._next)
        self.asked_by, self._next, self._begun = [], None, self._next
        self.asked.clear()
        return begun

    def note(self, begun: "BegunReload", outcome: ReloadOutcome, problems: Sequence[str]) -> None:
        """Remember an outcome, and tell those who wait for it."""
        entry = ReloadEntry(time.time(), begun.why, outcome, tuple(problems))
        self.history.appendleft(entry)
        if begun.told is not None:
            begun.told.set_result(entry)

    def end(self) -> None:
        """Tell those who wait that no config is read any more."""
        self._has_ended = True
        for told in (self._begun, self._next):
            if told is not None and not told.done():
                told.set_exception(NoMoreReloads())
                told.exception()  # those who asked may have left


class BegunReload(NamedTuple):
    """A reload that is under way, and who waits for it."""

    why: str
    asked_by: Sequence[Operator]
    told: asyncio.Future[ReloadEntry] | None


class WatchedFile(Protocol):
    """A config file whose changes are noticed."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def sha256(self) -> str:
        """Of the text that was read last, in hexadecimal digits."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """About the last reading, for the log."""

    def has_changed(self) -> bool:
        """Whether it should be read again."""


@asynccontextmanager
async def reloading(
    file: WatchedFile,
    reload: Callable[[], Awaitable[None]],
    count: CountReload,
    trail: AuditTrail = NO_AUDIT,
    requests: ReloadRequests | None = None,
) -> AsyncIterator[None]:
    """
    Call ``reload`` at SIGHUP and after a change, one call at a time, until the context ends.

    What it raises is logged: the old config stays in use. ``trail`` has a line of each, and one of
    the config that the gateway started with. ``requests`` asks for reloads, too.
    """
    requests = requests or ReloadRequests()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, requests.asked.set)
    task = asyncio.create_task(_reload_when_asked(file, requests, reload, count, trail))
    trail.note(config_entry(AuditEvent.CONFIG_LOADED, file))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it would end a draining gateway
        task.cancel()
        await asyncio.wait([task])
        requests.end()


async def _reload_when_asked(
    file: WatchedFile,
    requests: ReloadRequests,
    reload: Callable[[], Awaitable[None]],
    count: CountReload,
    trail: AuditTrail,
) -> None:
    while True:
        while not requests.asked.is_set() and not file.has_changed():
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await requests.asked.wait()
        begun = requests.begin()
        outcome, problems = await _try(reload)
        entry = config_entry(AuditEvent.CONFIG_RELOADED, file)
        result: AuditResult = "ok" if outcome == "applied" else "refused"
        entry = entry._replace(result=result, reason=begun.why)
        if begun.asked_by:
            entry = together(begun.asked_by).sign(entry)
        trail.note(entry)
        requests.note(begun, outcome, problems)
        if outcome == "applied":
            for warning in file.warnings:
                _log.warning("%s", warning)
        count(outcome)


def together(operators: Sequence[Operator]) -> Operator:
    """Name all who wait for one reload, each once where it is the same."""
    return Operator(
        *(", ".join(dict.fromkeys(filter(None, names))) for names in zip(*operators, strict=True))
    )


def config_entry(event: AuditEvent, file: WatchedFile) -> AuditEntry:
    """Describe the config that was read last: its path and the hash of its text."""
    return AuditEntry(event, "gateway", str(file.path), details={"sha256": file.sha256})


async def _try(reload: Callable[[], Awaitable[None]]) -> tuple[ReloadOutcome, Sequence[str]]:
    """Reload once; returns the outcome, as it is counted, and the problems."""
    problems: list[str] = []
    try:
        await reload()
    except ConfigError as error:
        problems += error.problems
        if isinstance(error, InvalidConfig) and error.has(UNSET_VARIABLE):
            problems.append(_OLD_ENVIRONMENT)
    except GatewayError as error:
        problems.append(str(error))
    except Exception as error:  # noqa: BLE001 (a defect: the old config still serves)
        _log.exception("config not reloaded")
        return "refused", [type(error).__name__]
    else:
        _log.info("config reloaded")
        return "applied", ()
    for problem in problems:
        _log.error("config not reloaded: %s", problem)
    return "refused", problems
