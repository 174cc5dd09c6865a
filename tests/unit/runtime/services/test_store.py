"""The store is built in one place, for gateways and for commands."""

import asyncio
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.core.errors import StartError, StoreUnavailable
from gateway.core.invalidation import InvalidationKind
from gateway.runtime.services.store import (
    examine_store,
    open_store,
    reads_lag,
    scan_keys,
    shared_store,
    store_server,
    subscription,
)
from gateway.store.bus import StoreBus
from tests.fakes.odd_store import OddStore
from tests.fakes.servers import valkey
from tests.fakes.services import settings_of


def soon_ms() -> int:
    """Return a time at which a key may end: later than any test."""
    return int((time.time() + 3600) * 1000)


async def test_commands_find_the_store_of_a_gateway(tmp_path: Path) -> None:
    """Under the same prefix, with keys that are listed without it."""
    settings = settings_of(redis=f"embedded://{tmp_path}")
    async with store_server(settings) as url, open_store(url, settings) as store:
        await store.set("user:ada", b"1", expires_at_ms=soon_ms())
        async with shared_store(settings) as shared:
            assert b"1" == await shared.store.get("user:ada")
            await shared.store.set("other", b"2", expires_at_ms=soon_ms())
        assert ["user:ada"] == [key async for key in scan_keys(settings, "user:")]


async def test_a_store_in_memory_has_no_commands() -> None:
    """No other process can reach it, which is said before anything is tried."""
    settings = settings_of()
    with pytest.raises(StartError, match="the gateway's own"):
        async with shared_store(settings):
            pass
    with pytest.raises(StartError, match="the gateway's own"):
        await anext(scan_keys(settings, ""))


async def test_a_store_that_is_down_is_unavailable(tmp_path: Path) -> None:
    """Listing keys fails as everything else does."""
    settings = settings_of(redis=f"unix://{tmp_path}/none.sock")
    with pytest.raises(StoreUnavailable):
        await anext(scan_keys(settings, ""))


async def test_a_subscription_hears_what_commands_publish(tmp_path: Path) -> None:
    """On the channel under the configured prefix."""
    settings = settings_of(redis=f"embedded://{tmp_path}")
    async with store_server(settings) as url, open_store(url, settings) as store:
        bus, heard, ready = StoreBus(store), asyncio.Event(), asyncio.Event()
        names: list[str] = []

        def hear(name: str) -> None:
            names.append(name)
            heard.set()

        bus.on(InvalidationKind.USER, hear)
        bus.on_missed(ready.set)
        async with subscription(url, settings, bus), asyncio.timeout(10):
            await ready.wait()
            async with shared_store(settings) as shared:
                await shared.bus.publish(InvalidationKind.USER, "ada")
            await heard.wait()
    assert ["ada"] == names


@pytest.mark.parametrize(
    ("url", "lag"),
    [("upstash+https://a.upstash.io", True), ("rediss://a.upstash.io", True), ("redis://a", False)],
)
def test_where_reads_lag(url: str, *, lag: bool) -> None:
    """At Upstash, whichever the protocol."""
    settings = settings_of()
    redis = settings.redis.model_copy(update={"url": SecretStr(url)})

    assert lag == reads_lag(settings.model_copy(update={"redis": redis}))


async def test_commands_reach_a_store_that_is_far_away() -> None:
    """Each begins with a connection, which takes longer than a request waits for a reply."""
    with valkey() as server:
        far = OddStore(server.url)
        far.opening_s = 0.4
        settings = settings_of(redis=far.url)
        async with far.serving():
            async with shared_store(settings) as shared:
                await shared.store.set("k", b"1", expires_at_ms=soon_ms())
            _, findings = await examine_store(settings)

    told = {finding.name: finding.text for finding in findings}
    assert "a message was heard" == told["pub/sub"]
    assert told["round trip"].endswith("redis.timeout is 250 ms")
