"""When the config is read again, and what becomes of a reload that fails."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from gateway.config.problems import UNSET_VARIABLE, Problem, invalid
from gateway.config.source import ConfigFile
from gateway.core.errors import ConfigError, StartError
from gateway.runtime.reload import reloading


class File:
    """A config file that has changed once, if it has."""

    def __init__(self, *, has_changed: bool = False, warnings: tuple[str, ...] = ()) -> None:
        self._has_changed = has_changed
        self.warnings = warnings

    def has_changed(self) -> bool:
        changed, self._has_changed = self._has_changed, False
        return changed


async def outcomes(reload: Callable[[], Awaitable[None]], *, file: File, signals: int) -> list[str]:
    """Return the outcomes that are counted, after ``signals`` of SIGHUP."""
    counted: list[str] = []
    done = asyncio.Event()

    def count(outcome: str) -> None:
        counted.append(outcome)
        done.set()

    async with reloading(cast("ConfigFile", file), reload, count), asyncio.timeout(5):
        for _ in range(max(signals, 1)):
            done.clear()
            if signals:
                os.kill(os.getpid(), signal.SIGHUP)
            await done.wait()
    return counted


async def _succeed() -> None:
    pass


@pytest.mark.parametrize(
    ("has_changed", "signals"), [(True, 0), (False, 2)], ids=["a-change", "SIGHUP"]
)
async def test_when_the_config_is_read_again(*, has_changed: bool, signals: int) -> None:
    """Each time it is asked for, or a file has changed."""
    found = await outcomes(_succeed, file=File(has_changed=has_changed), signals=signals)
    assert ["applied"] * max(signals, 1) == found


@pytest.mark.parametrize(
    ("error", "line"),
    [
        pytest.param(ConfigError(["a: x"]), "a: x", id="config"),
        pytest.param(StartError("admin: needs a restart"), "needs a restart", id="start"),
        pytest.param(OSError("no descriptor"), "not reloaded", id="unforeseen"),
    ],
)
async def test_a_reload_that_fails_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture, error: Exception, line: str
) -> None:
    """The next one is tried all the same."""

    async def fail() -> None:
        raise error

    with caplog.at_level(logging.ERROR):
        assert ["refused"] * 2 == await outcomes(fail, file=File(), signals=2)
    assert line in caplog.text


async def test_a_reload_that_finds_old_values_warns(caplog: pytest.LogCaptureFixture) -> None:
    """What the file has to say about a load is logged, once it is in use."""
    with caplog.at_level(logging.WARNING):
        await outcomes(_succeed, file=File(warnings=("a key of the start",)), signals=1)
    assert ["a key of the start"] == [record.message for record in caplog.records]


async def test_a_variable_that_is_not_set_has_a_hint(caplog: pytest.LogCaptureFixture) -> None:
    """A variable that was exported after the start is unknown to the process."""

    async def fail() -> None:
        raise invalid([Problem(("a",), "NEW is not set", code=UNSET_VARIABLE)], "f")

    with caplog.at_level(logging.ERROR):
        await outcomes(fail, file=File(), signals=1)
    first, second = [record.message for record in caplog.records]
    assert "NEW is not set" in first
    assert "a reload sees the environment of the start" in second


async def test_sighup_does_not_end_a_gateway_that_drains() -> None:
    """By default it would."""
    async with reloading(cast("ConfigFile", File()), _succeed, lambda _outcome: None):
        pass
    assert signal.SIG_IGN == signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
