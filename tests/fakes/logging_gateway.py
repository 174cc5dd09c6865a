"""A gateway as a process whose own log is read when the test likes, or not at all."""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.fakes import upstream
from tests.fakes.free_port import free_port
from tests.fakes.http import connected, fetch
from tests.fakes.metrics import figures
from tests.fakes.process import STOP_TIMEOUT_S
from tests.fakes.servers import eventually

CONFIG = """
server: {{listen: ["127.0.0.1:{port}"], public_url: http://localhost, timeouts: {{drain: 1s}},
  workers: {workers}}}
admin: {{listen: "127.0.0.1:{admin}"}}
log: {log}
redis: {{url: "embedded://"}}
magic: {{mode: development}}
limits: {{failures: {{rate: 1000000/minute}}, login: {{rate: 1000000/minute}}}}
upstreams: {{app: {{servers: ["http://127.0.0.1:{app}"]}}}}
routes: [{{name: all, match: {{path: "/*"}}, auth: none, upstream: app}}]
"""
REFUSED = (
    b"POST /_gateway/login/attempt HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)
PIPE_BYTES = 4096


class LoggingGateway:
    """A gateway whose standard error is a pipe that the test reads when it likes."""

    def __init__(
        self, process: asyncio.subprocess.Process, port: int, admin: int, log: int
    ) -> None:
        self.process = process
        self.port = port
        self.admin = admin
        self._log = log
        self._read = b""

    def read(self) -> list[str]:
        """What the log says so far, also after the end."""
        with suppress(OSError):  # nothing now, or closed
            while chunk := os.read(self._log, 1 << 16):
                self._read += chunk
        return self._read.decode().splitlines()

    def close_log(self) -> None:
        """Read what is left, and end the pipe."""
        self.read()
        os.close(self._log)
        self._log = -1

    async def refused(self, count: int) -> None:
        """Ask for what is logged: attempts to sign in that name no address."""
        async with connected(self.port) as client:
            await client.send(REFUSED * count)
            for _ in range(count):
                assert 400 == (await client.answer("POST")).status

    async def says(self, text: str) -> bool:
        """Whether ``text`` is in the log."""
        return any(text in line for line in self.read())

    async def has_reloaded(self) -> bool:
        """Whether a reload was counted."""
        return (await figures(self.admin)).get('gateway_reloads_total{outcome="applied"}', 0) > 0

    async def has_dropped(self) -> bool:
        """Whether lines found no room."""
        return (await figures(self.admin))["gateway_log_dropped_total"] > 0

    async def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return (await fetch(self.admin, "GET", "/readyz")).status == 200
        except OSError:
            return False


@asynccontextmanager
async def logging_gateway(
    folder: Path, *options: str, log: str = "{}", workers: int = 1
) -> AsyncIterator[LoggingGateway]:
    """A gateway with a small pipe for its log."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(reader, False)
    port, admin = free_port(), free_port()
    async with upstream.serving() as app:
        config = folder / "gateway.yaml"
        places = {"port": port, "admin": admin, "app": app.port}
        config.write_text(CONFIG.format(**places, log=log, workers=workers))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "run", "--config", str(config), *options),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=writer,
        )
        os.close(writer)
        running = LoggingGateway(process, port, admin, reader)
        try:
            await eventually(running.is_ready, within_s=60)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
    running.close_log()
