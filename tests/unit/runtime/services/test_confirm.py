"""What has replicas confirm sign-ins, as it is built."""

import asyncio
import logging

import pytest

from gateway.core.ports import Script
from gateway.core.replies import is_count
from gateway.runtime.services.confirm import Missed, confirming_store
from gateway.runtime.services.store import confirmation
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import SIGN_INS_UNCONFIRMED
from tests.fakes import servers
from tests.fakes.free_port import free_port
from tests.fakes.services import settings_of

REDIS = "redis://127.0.0.1:1"


async def test_none_where_the_config_asks_for_none() -> None:
    """Then sign-ins take the connections of all commands."""
    assert confirmation(settings_of()) is None
    async with confirming_store(settings_of(), Counters()) as store:
        assert store is None


async def test_a_store_with_connections_of_its_own() -> None:
    """Nothing is sent before it is used."""
    settings = settings_of("hooks: {confirm: {replicas: 2, required: true}}", redis=REDIS)
    confirm = confirmation(settings)
    assert confirm is not None
    assert (2, 0.1, True) == (confirm.replicas, confirm.timeout_s, confirm.is_required)
    async with confirming_store(settings, Counters()) as store:
        assert store is not None


async def test_a_script_that_waits_for_those_of_others_stands() -> None:
    """Each connection is held up for the time-out and more: the one behind waits for both."""
    script, more = Script("login", "return 1", is_count), "hooks: {confirm: {timeout: 300ms}}"
    with servers.valkey(port=free_port()) as server:  # which has no replica
        async with confirming_store(settings_of(more, redis=server.url), Counters()) as store:
            assert store is not None
            asked = []
            for number in range(3):
                asked.append(store.run(script, [f"k{number}"], []))
                await asyncio.sleep(0)  # the next one is not in its batch
                await asyncio.sleep(0)
            assert [1, 1, 1] == await asyncio.gather(*asked)


def test_sign_ins_are_counted_and_the_log_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """What moves events on is not a sign-in."""
    counters = Counters()
    missed = Missed(counters)
    with caplog.at_level(logging.WARNING, "gateway.hooks"):
        for script in ("login", "outbox_take", "login"):
            missed(script, "0 of 1 replicas had it in time")
    assert 2 == counters.counts[SIGN_INS_UNCONFIRMED, ""]
    [line] = caplog.messages
    assert line.endswith("login: 0 of 1 replicas had it in time")
