"""Proxies that others wrote, with the very configs of ``examples/forward-auth``, on free ports."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import h11
import pytest

from tests.fakes.free_port import free_port
from tests.fakes.http import fetch
from tests.fakes.programs import end, installed

EXAMPLES = Path(__file__).parents[2] / "examples" / "forward-auth"
START_S = 60.0
POLL_S = 0.02
TRIES = 3


class Kind(NamedTuple):
    """How a proxy is started; its config is in the working directory."""

    command: tuple[str, ...]


KINDS = {
    "nginx": Kind(
        (
            *("nginx", "-p", ".", "-c", "nginx.conf", "-e", "stderr"),
            *("-g", "daemon off; master_process off; pid nginx.pid;"),
        )
    ),
    "caddy": Kind(("caddy", "run", "--config", "Caddyfile")),
    "traefik": Kind(("traefik", "--configFile=traefik.yaml")),
    "envoy": Kind(
        ("envoy", "-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "1", "-l", "error")
    ),
    "haproxy": Kind(("haproxy", "-db", "-f", "haproxy.cfg")),
}

_NGINX_TEMPORARY = "".join(
    f"{kind}_temp_path {kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


class Front(NamedTuple):
    """A running proxy."""

    name: str
    port: int
    log: Path


@asynccontextmanager
async def front(
    name: str, gateway: int, app: int, folder: Path, refused: Collection[int] = (401,)
) -> AsyncIterator[Front]:
    """
    The proxy ``name`` in front of these ports; skips where it is not installed.

    It is ready when a request without credentials gets a status in ``refused``.
    """
    program, *arguments = KINDS[name].command
    path = installed(program)
    log = folder / "front.log"
    for _ in range(TRIES):
        running = Front(name, free_port(), log)
        _write_config(running, gateway, app, folder)
        process = await _started([path, *arguments], folder, log)
        try:
            if await _is_ready(process, running, refused):
                yield running
                return
        finally:
            await end(process)
    pytest.fail(log.read_text())


def _write_config(running: Front, gateway: int, app: int, folder: Path) -> None:
    ports = (("8080", gateway), ("3000", app), ("8000", running.port))
    for source in (EXAMPLES / running.name).iterdir():
        text = source.read_text()
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{gateway}")
        text = text.replace("127.0.0.1:3000", f"127.0.0.1:{app}")
        for place, known in ports:
            text = text.replace(f"port_value: {place}", f"port_value: {known}")
        text = text.replace(":8000", f":{running.port}")
        text = text.replace("listen 8000", f"listen {running.port}")
        (folder / source.name).write_text(text.replace("http {", "http {" + _NGINX_TEMPORARY, 1))


async def _started(command: list[str], folder: Path, log: Path) -> asyncio.subprocess.Process:
    with log.open("wb") as out:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            stdin=DEVNULL,
            stdout=out,
            stderr=STDOUT,
            env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        )


async def _is_ready(
    process: asyncio.subprocess.Process, running: Front, refused: Collection[int]
) -> bool:
    """
    Wait until it answers; False where it has ended, because its port was taken meanwhile.

    Traefik listens before it knows its routes, Envoy before it knows its clusters: on a busy
    machine it closes the first connection without an answer.
    """
    async with asyncio.timeout(START_S):
        while process.returncode is None:
            with suppress(ConnectionError, h11.RemoteProtocolError):
                if (await fetch(running.port, "GET", "/private")).status in refused:
                    return True
            await asyncio.sleep(POLL_S)
    return False
