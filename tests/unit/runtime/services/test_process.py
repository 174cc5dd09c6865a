"""What a process builds once."""

import time
from pathlib import Path

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.runtime.services.process import process_services, wire_services
from gateway.telemetry.metrics import TUNNELS
from tests.fakes.services import INHERITED, settings_of


async def test_a_process_starts_without_its_store(tmp_path: Path) -> None:
    """It serves what needs no store, and goes on to look for it."""
    settings = settings_of(redis=f"unix://{tmp_path}/none.sock")
    url = settings.redis.url.get_secret_value()
    async with process_services(settings, INHERITED, url) as process:
        with pytest.raises(StoreUnavailable):
            await process.store.ping()
        assert (INHERITED.made_up_key, None) == (process.made_up_key, process.magic_logout)
        assert process.magic.development is not None
        token = process.magic.development.mint("a@b.c", 60, time.time())
    assert token


async def test_connections_share_one_clock_and_one_set_of_counters() -> None:
    """All parts of the wire are of the same loop."""
    wire = wire_services()
    try:
        wire.counters.add(TUNNELS)
        assert 1 == wire.counters.counts[TUNNELS, ""]
        assert wire.loop.is_running()
    finally:
        wire.deadlines.close()
