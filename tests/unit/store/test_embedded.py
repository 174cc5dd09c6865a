"""The server that the gateway brings along."""

import stat
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.errors import StartError
from gateway.store.connect import connect
from gateway.store.embedded import EmbeddedServer
from gateway.store.redis import RedisStore


def in_an_hour_ms() -> int:
    return int((time.time() + 3600) * 1000)


async def _keep(url: str, value: bytes) -> None:
    store = RedisStore(connect(url, 1), "", 1)
    await store.set("k", value, expires_at_ms=in_an_hour_ms())
    await store.aclose()


async def _kept(url: str) -> bytes | None:
    store = RedisStore(connect(url, 1), "", 1)
    value = await store.get("k")
    await store.aclose()
    return value


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_in_memory_it_leaves_nothing_behind() -> None:
    """It listens where only its owner can come, and is gone with its directory."""
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
    """Over a restart; and nobody else may look into it."""
    with TemporaryDirectory() as parent:
        directory = Path(parent) / "new" / "data"
        for value in (None, b"1"):
            server = EmbeddedServer(directory)
            await server.start()
            assert value == await _kept(server.url)
            await _keep(server.url, b"1")
            await server.stop()

        assert 0o700 == _mode(directory)


async def test_two_cannot_share_a_directory() -> None:
    """They would overwrite each other's files."""
    with TemporaryDirectory() as directory:
        first, second = EmbeddedServer(Path(directory)), EmbeddedServer(Path(directory))
        await first.start()

        with pytest.raises(StartError, match="in use"):
            await second.start()

        await _keep(first.url, b"1")
        await first.stop()


async def test_a_directory_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    """Before anything is started."""
    file = tmp_path / "file"
    file.touch()
    deep = tmp_path / ("x" * 100)

    for directory in (file, deep):
        with pytest.raises(StartError, match="embedded store"):
            await EmbeddedServer(directory).start()
