"""Apps on servers that others wrote, each on a free port; see ``tests/peers/origins``."""

import asyncio
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.free_port import free_port
from tests.fakes.programs import end, installed

APPS = Path(__file__).parents[1] / "peers" / "origins"
LARGE = bytes(range(256)) * 8192
STREAM = b"".join(b"part %d\n" % number for number in range(50))
START_S = 60.0
POLL_S = 0.02
TRIES = 3

COMMANDS = {
    "gunicorn": (
        *("gunicorn", "--bind", "127.0.0.1:PORT", "--worker-class", "gthread", "--threads", "4"),
        *("--keep-alive", "5", "--no-control-socket", "wsgi_app"),
    ),
    "waitress": ("waitress-serve", "--listen", "127.0.0.1:PORT", "wsgi_app:application"),
    "uvicorn": (
        *("uvicorn", "--host", "127.0.0.1", "--port", "PORT", "--log-level", "warning"),
        "asgi_app:application",
    ),
    "node": ("node", "server.mjs", "PORT"),
    "php": ("php", "-S", "127.0.0.1:PORT", "router.php"),
    "nginx": (
        *("nginx", "-p", ".", "-c", "nginx.conf", "-e", "stderr"),
        *("-g", "daemon off; master_process off; pid nginx.pid;"),
    ),
}
"""How each server is started in a folder with the files of `APPS`."""


@asynccontextmanager
async def origin(name: str, folder: Path) -> AsyncIterator[int]:
    """Start the server ``name``; yield its port. Skips the test where it is not installed."""
    program, *arguments = COMMANDS[name]
    path = installed(program)
    log = folder / "origin.log"
    for _ in range(TRIES):
        port = free_port()
        _write_files(folder, port)
        words = [word.replace("PORT", str(port)) for word in arguments]
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                path, *words, cwd=folder, stdin=DEVNULL, stdout=out, stderr=STDOUT
            )
        try:
            if await _listens(process, port):
                yield port
                return
        finally:
            await end(process)
    pytest.fail(log.read_text())


def _write_files(folder: Path, port: int) -> None:
    for source in APPS.iterdir():
        if source.is_file():
            text = source.read_text()
            (folder / source.name).write_text(text.replace("PORT", str(port)))
    (folder / "files").mkdir(exist_ok=True)
    (folder / "files" / "large").write_bytes(LARGE)
    (folder / "files" / "stream").write_bytes(STREAM)


async def _listens(process: asyncio.subprocess.Process, port: int) -> bool:
    """Wait until it accepts; False where it has ended, because its port was taken meanwhile."""
    async with asyncio.timeout(START_S):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(POLL_S)
                continue
            writer.close()
            return True
    return False
