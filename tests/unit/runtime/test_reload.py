"""When the config is read again, and what becomes of a reload that fails."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from gateway.admin.access import Operator
from gateway.config.problems import UNSET_VARIABLE, Problem, invalid
from gateway.config.source import ConfigFile
from gateway.core.errors import ConfigError, StartError
from gateway.runtime.reload import NoMoreReloads, ReloadRequests, reloading, together


class File:
    """A config file that has changed once, if it has."""

    def __init__(self, *, has_changed: bool = False, warnings: tuple[str, ...] = ()) -> None:
        self._has_changed = has_changed
        self.warnings = warnings
        self.path, self.sha256 = Path("gateway.yaml"), "0" * 64

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

    async with reloading(cast("ConfigFile", file), reload, count), asyncio.timeout(20):
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


async def test_an_operator_learns_what_became_of_a_reload() -> None:
    """The one that was asked for, also where two ask at one time; the last ones are remembered."""
    reloads = 0

    async def reload() -> None:
        nonlocal reloads
        reloads += 1
        if reloads == 2:
            raise ConfigError(["a: wrong"])

    requests = ReloadRequests()
    file = cast("ConfigFile", File())
    async with (
        reloading(file, reload, lambda _: None, requests=requests),
        asyncio.timeout(20),
    ):
        here, there = (
            Operator(origin="192.0.2.1"),
            Operator("did:ethr:0xA", "192.0.2.2"),
        )
        first = await asyncio.gather(requests.ask(here), requests.ask(there))
        second = await requests.ask(here)
    assert 2 == reloads
    assert [("applied", (), "the API")] * 2 == [
        (each.outcome, each.problems, each.why) for each in first
    ]
    assert ("refused", ("a: wrong",)) == (second.outcome, second.problems)
    assert [second, first[0]] == list(requests.history)


async def test_no_operator_waits_for_a_reload_of_a_gateway_that_drains() -> None:
    """Neither for the one that it interrupts, nor for one that it would have gone on with."""
    has_begun = asyncio.Event()

    async def reload() -> None:
        has_begun.set()
        await asyncio.get_running_loop().create_future()

    requests, here = ReloadRequests(), Operator(origin="192.0.2.1")
    file = cast("ConfigFile", File())
    async with asyncio.timeout(20):
        async with reloading(file, reload, lambda _: None, requests=requests):
            interrupted = asyncio.create_task(requests.ask(here))
            await has_begun.wait()
            begun, late = len(requests.asked_by), asyncio.create_task(requests.ask(here))
            while len(requests.asked_by) == begun:
                await asyncio.sleep(0)
        for asked in (interrupted, late, requests.ask(here)):
            with pytest.raises(NoMoreReloads):
                await asked
    assert [] == list(requests.history)


def test_operators_who_wait_for_one_reload_are_named_together() -> None:
    """Each once."""
    here, ada = Operator(origin="192.0.2.1"), Operator("did:ethr:0xA", "192.0.2.2", "a@b.example")
    assert here == together([here, here])
    assert Operator("admin-api, did:ethr:0xA", "192.0.2.1, 192.0.2.2", "a@b.example") == together(
        [here, ada]
    )
