"""What systemd is told, over a socket as it would listen on."""

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from gateway.runtime.service_manager import ServiceManager


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of the service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def _told(listener: socket.socket) -> dict[str, str]:
    lines = listener.recv(4096).decode().split("\n")
    return dict(line.split("=", 1) for line in lines)


def _manager(listener: socket.socket, **environ: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": listener.getsockname(), **environ})


def test_a_start_a_reload_and_a_stop(systemd: socket.socket) -> None:
    """A reload carries the monotonic time, which Type=notify-reload demands."""
    manager = _manager(systemd)
    manager.ready()
    assert {"READY": "1", "STATUS": "serving"} == _told(systemd)
    with manager.reloading():
        begun = _told(systemd)
        assert ("1", True) == (begun["RELOADING"], begun["MONOTONIC_USEC"].isdigit())
    assert {"READY": "1", "STATUS": "serving"} == _told(systemd)
    manager.stopping(30.0)
    assert {"STOPPING": "1", "STATUS": "draining for 30 s at most"} == _told(systemd)


def test_a_reload_that_is_refused_is_told(systemd: socket.socket) -> None:
    """The service is ready all the same, and the error goes on."""
    manager = _manager(systemd)

    def refused() -> None:
        with manager.reloading():
            raise ValueError("bad config")

    with pytest.raises(ValueError, match="bad"):
        refused()
    assert "1" == _told(systemd)["RELOADING"]
    told = _told(systemd)
    assert ("1", True) == (told["READY"], "refused" in told["STATUS"])


class Enough(Exception):
    """Ends what would go on for ever."""


async def test_the_watchdog_is_told_while_the_service_lives(systemd: socket.socket) -> None:
    """It is not told by a service that says it does not live."""
    asked: list[int] = []

    async def is_alive() -> bool:
        asked.append(len(asked))
        if len(asked) > 2:
            raise Enough
        return len(asked) == 1

    manager = _manager(systemd, WATCHDOG_USEC="1000", WATCHDOG_PID=str(os.getpid()))
    with pytest.raises(Enough):
        async with asyncio.timeout(20):
            await manager._keep_telling(is_alive)
    assert {"WATCHDOG": "1"} == _told(systemd)
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(1)


async def test_a_service_that_does_not_answer_once_is_asked_again_soon(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one answer that comes late, by workers under load, would end all of them."""
    answers, slept_s = [True, False, False, True], list[float]()

    async def is_alive() -> bool:
        if not answers:
            raise Enough
        return answers.pop(0)

    async def sleep(wait_s: float) -> None:
        slept_s.append(wait_s)

    manager = _manager(systemd, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
    monkeypatch.setattr("gateway.runtime.service_manager.asyncio.sleep", sleep)
    with pytest.raises(Enough):
        await manager._keep_telling(is_alive)
    assert [15.0, 1.5, 1.5, 15.0] == slept_s


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="no-watchdog"),
        pytest.param({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, id="for-another-process"),
        pytest.param({"WATCHDOG_USEC": "soon"}, id="no-number"),
    ],
)
async def test_a_watchdog_that_does_not_watch_us_is_not_told(
    systemd: socket.socket, environ: dict[str, str]
) -> None:
    """Nothing is left running for it."""

    async def is_alive() -> bool:
        raise AssertionError

    async with asyncio.timeout(20):
        await _manager(systemd, **environ)._keep_telling(is_alive)


def test_an_abstract_socket(systemd: socket.socket) -> None:
    """Its address begins with @ in the environment."""
    name = f"gateway-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(5)
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert "1" == _told(listener)["READY"]


@pytest.mark.parametrize("address", ["", "vsock:2:1", "relative"])
def test_without_a_service_manager_nothing_is_told(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor by an address of a kind that is not known; no attempt is made that could fail."""
    ServiceManager({"NOTIFY_SOCKET": address}).ready()
    assert [] == caplog.messages


def test_a_service_manager_that_does_not_read_is_not_waited_for(
    systemd: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """What its socket does not hold is dropped: clients must not wait."""
    manager = _manager(systemd)

    def until_full() -> None:
        while not caplog.messages:
            manager.ready()

    filling = Thread(target=until_full, daemon=True)
    filling.start()
    filling.join(30)
    assert not filling.is_alive()
    assert ["the service manager is not told: Resource temporarily unavailable"] == caplog.messages


def test_a_service_manager_that_is_gone_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once."""
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    manager.ready()
    manager.ready()
    assert ["the service manager is not told: No such file or directory"] == caplog.messages
