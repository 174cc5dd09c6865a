"""Store servers of the Redis protocol."""

import asyncio
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from gateway.core.errors import StoreUnavailable
from gateway.store.connect import redis_client
from gateway.store.server import RedisServer, StoreOptions
from tests.fakes.servers import valkey


def _client(options: StoreOptions, timeout_s: float) -> Redis:
    return redis_client(options.url, timeout_s)


def _server(url: str, prefix: str = "gw:") -> RedisServer:
    return RedisServer(StoreOptions(url, prefix, 0.5), _client)


async def test_store_listener_and_scan_share_a_prefix() -> None:
    """What one writes or publishes, the others see; keys of other prefixes they do not."""
    with valkey() as place:
        server, heard, subscribed = _server(place.url), asyncio.Queue[bytes](), asyncio.Event()
        listening = asyncio.create_task(server.listen("changes", heard.put_nowait, subscribed.set))
        store = server.store(lambda: None)
        other = _server(place.url, "other:").store(lambda: None)
        try:
            await subscribed.wait()
            for writer in (other, store):
                await writer.publish("changes", b"ours" if writer is store else b"foreign")
                await writer.set("k1", b"v", expires_at_ms=2**42)
            async with aclosing(server.scan("k")) as keys:
                assert {b"gw:k1"} == {key async for key in keys}
            assert b"ours" == await heard.get()
        finally:
            listening.cancel()
            await store.aclose()
            await other.aclose()


async def test_a_scan_of_a_server_that_is_away_is_an_error() -> None:
    """It is told as the failure of a store."""
    async with aclosing(_server("unix:///nowhere.sock").scan("k")) as keys:
        with pytest.raises(StoreUnavailable):
            await anext(keys)
