"""How a gateway is told to stop, and what it says when it serves."""

import asyncio
import logging
import os
import signal

import pytest

from gateway.runtime import serve
from gateway.runtime.gateway import Gateway
from gateway.util.kernel import DESCRIPTION
from tests.fakes.services import settings_of


async def test_the_first_signal_stops_and_the_second_hurries() -> None:
    """Whatever asks: a signal, or the supervisor's end."""
    stop, hurried = serve.Stop(signal.SIGUSR1), asyncio.Event()
    stop.then(hurried.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    async with asyncio.timeout(20):
        await stop.wait()
    assert not hurried.is_set()
    stop.now()
    assert hurried.is_set()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)


async def test_it_serves_until_it_is_told_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    """Then it drains; it says where it listens, and that it drains."""

    def ready(gateway: Gateway) -> None:
        serve.announce(gateway)
        os.kill(os.getpid(), signal.SIGTERM)

    drains_s: list[float] = []
    with caplog.at_level(logging.INFO):
        async with asyncio.timeout(20):
            await serve.serve(settings_of(), ready, on_stop=drains_s.append)
    said = [record.getMessage() for record in caplog.records if record.name == "gateway"]
    assert said[0].startswith("listening on ")
    assert "draining" == said[-1]
    assert [30.0] == drains_s
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


def test_the_private_listener_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """Tests and operators read its port there; and whether the parts in C are used."""
    with caplog.at_level(logging.INFO):
        serve.announce_addresses(["port 1", "/run/gw.sock"], "port 9")
    expected = [
        "private listener on port 9",
        "listening on port 1, /run/gw.sock",
        f"heads are read by {DESCRIPTION}",
    ]
    assert expected == [record.getMessage() for record in caplog.records]
