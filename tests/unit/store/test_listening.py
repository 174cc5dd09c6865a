"""Listening that breaks off."""

import asyncio
import logging

import pytest

from gateway.store.listening import listen_for_ever
from gateway.util.background import background


async def test_listening_goes_on_after_each_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The log tells the first failure alone: the others follow closely."""
    third = asyncio.Event()
    calls = 0

    async def listen() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            third.set()
            await asyncio.get_running_loop().create_future()
        raise ConnectionResetError("gone")

    with caplog.at_level(logging.WARNING):
        async with background(listen_for_ever(listen)):
            await asyncio.wait_for(third.wait(), 20)

    assert ["not subscribed to the store's channel: ConnectionResetError: gone"] == caplog.messages
