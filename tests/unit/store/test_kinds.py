"""The table of store kinds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.config.addresses import redis_url
from gateway.core.errors import StartError
from gateway.store.connect import redis_client
from gateway.store.kinds import STORE_KINDS, StoreKind, run_server, server_of, shared_url
from gateway.store.server import RedisServer, StoreOptions, StoreServer


@asynccontextmanager
async def _toy_box(url: str) -> AsyncIterator[str]:
    yield url.replace("toy://", "unix:///run/")


async def test_a_toy_kind_of_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says how its server is run, where others find it, and how a client is made."""

    def server(options: StoreOptions) -> StoreServer:
        return RedisServer(options, lambda options, timeout_s: redis_client(options.url, timeout_s))

    kind = StoreKind(server, _toy_box, lambda url: f"{url}/shared")
    monkeypatch.setitem(STORE_KINDS, "toy", kind)

    assert isinstance(server_of(StoreOptions("toy://box")), RedisServer)
    async with run_server("toy://box") as url:
        assert "unix:///run/box" == url
    assert "toy://box/shared" == shared_url("toy://box")


async def test_servers_that_run_elsewhere_are_not_started() -> None:
    """Their URL is used as it is, by commands too."""
    async with run_server("redis://example.com") as url:
        assert "redis://example.com" == url == shared_url("redis://example.com")


@pytest.mark.parametrize("scheme", STORE_KINDS)
def test_the_config_takes_every_kind(scheme: str) -> None:
    """`redis.url` may have each scheme of the table."""
    places = {"unix": "/run/s", "embedded": "", "upstash+http": "127.0.0.1:8079"}
    default = "h1,h2/main" if scheme.endswith("+sentinel") else "example.com"
    text = f"{scheme}://{places.get(scheme, default)}"
    assert text == redis_url(text).get_secret_value()


def test_an_embedded_store_in_memory_is_not_shared() -> None:
    """No other process can reach it; one in a directory can be reached at its socket."""
    with pytest.raises(StartError, match="the gateway's own"):
        shared_url("embedded://")
    assert "unix:///var/lib/gw/valkey.sock" == shared_url("embedded:///var/lib/gw")


@pytest.mark.parametrize("url", ["", "example.com", "http://x:s3cret@example.com"])
def test_a_url_without_a_kind_is_refused(url: str) -> None:
    """The message lists the kinds, and does not repeat the URL: it may hold a password."""
    with pytest.raises(StartError, match="redis://, rediss://") as fault:
        server_of(StoreOptions(url))

    assert "s3cret" not in str(fault.value)
