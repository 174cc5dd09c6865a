"""A gateway as its users run it: a process of its own, asked over sockets."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.lines import whole_lines
from tests.fakes.spawner import Process, spawn

START_TIMEOUT_S = 60
_WORKER = re.compile(r"worker (\d+) is process (\d+)")
STOP_TIMEOUT_S = 20
"""Less than a drain may take by default (30 s): nothing waits for what does not end."""


_HELD = {"01", "08"}
"""ESTABLISHED and CLOSE_WAIT, as proc(5) writes them."""


class GatewayProcess:
    """``gateway run`` on a config; ``port`` is where it listens."""

    def __init__(self, process: Process, config: Path, log: Path) -> None:
        self.process = process
        self.config = config
        self.port = self.admin_port = 0
        self.messages: list[str] = []
        """What it said in its own log."""
        self._log = log

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def log_lines(self) -> list[dict[str, object]]:
        """The access log so far."""
        return [json.loads(line) for line in whole_lines(self._log)]

    def workers(self) -> dict[int, int]:
        """The process of each worker that was started, the latest by each number."""
        starts = (_WORKER.fullmatch(message) for message in self.messages)
        return {int(start[1]): int(start[2]) for start in starts if start}

    def children(self) -> set[int]:
        """The processes that it has started, and that have not ended."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return {int(child) for task in tasks for child in task.read_text().split()}

    async def successor(self, known: set[int]) -> int:
        """Wait for a worker that is none of the children known before; it may not serve yet."""
        async with asyncio.timeout(STOP_TIMEOUT_S):
            while not (found := [pid for pid in self.children() - known if _is_worker(pid)]):
                await asyncio.sleep(0.01)
        return found[0]

    def resident_bytes(self) -> int:
        """Memory of the process that is really there."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        """Time that its threads have run, or waited in the kernel, on any core."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def descriptors(self) -> int:
        """How many files and sockets the process holds."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def clients(self) -> int:
        """How many connections from clients the process holds, those that they have left too."""
        lines = Path(f"/proc/{self.process.pid}/net/tcp").read_text("ascii").splitlines()[1:]
        sockets = (line.split() for line in lines)
        port = f":{self.port:04X}"
        return sum(place.endswith(port) and state in _HELD for _, place, _, state, *_ in sockets)

    async def wait_until_listening(self) -> None:
        """Read the log until it says where it listens."""
        stderr = self.process.stderr
        assert stderr is not None
        lines = []
        async with asyncio.timeout(START_TIMEOUT_S):
            while line := await stderr.readline():
                lines.append(line.decode())
                message = self._note(line)
                if message.startswith("private listener on port "):
                    self.admin_port = int(message.rpartition(" ")[2])
                if message.startswith("listening on "):
                    ports = re.findall(r"port ([0-9]+)", message)
                    self.port = int(ports[0]) if ports else 0
                    return
        raise AssertionError(f"the gateway did not start: {lines}")

    def _note(self, line: bytes) -> str:
        message = str(json.loads(line).get("message", "")) if line.startswith(b"{") else ""
        self.messages.append(message)
        return message

    async def read_on(self) -> None:
        """Keep the pipe from filling up."""
        while self.process.stderr is not None and (line := await self.process.stderr.readline()):
            self._note(line)

    async def said(self, start: str) -> None:
        """Wait until it has said something that begins so."""
        async with asyncio.timeout(STOP_TIMEOUT_S):
            while not any(message.startswith(start) for message in self.messages):
                await asyncio.sleep(0.01)

    async def told(self, *parts: str) -> None:
        """Wait until it has said something with all of these in it."""
        async with asyncio.timeout(STOP_TIMEOUT_S):
            while not any(all(part in each for part in parts) for each in self.messages):
                await asyncio.sleep(0.01)

    async def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self.process.kill()
            raise AssertionError("the gateway did not stop") from None


def _is_worker(pid: int) -> bool:
    """Whether it is a worker already: before, its parent waits for it to become one."""
    try:
        return b"gateway.runtime.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


async def _start(launcher: tuple[str, ...], arguments: tuple[str, ...], stdout: int) -> Process:
    """Start a gateway: by fork, or by ``launcher``."""
    env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    if not launcher:
        return await spawn(arguments, stdout, env)
    return await asyncio.create_subprocess_exec(
        *(*launcher, sys.executable, "-m", "gateway", *arguments),
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )


@asynccontextmanager
async def gateway(
    config: str, folder: Path, launcher: tuple[str, ...] = ()
) -> AsyncIterator[GatewayProcess]:
    """
    A gateway that runs ``config``, a YAML text; its files go to ``folder``.

    ``launcher`` is a command that starts it, with the gateway's own command as its last arguments.
    """
    path, log = folder / "gateway.yaml", folder / "access.log"
    path.write_text(config)
    with log.open("wb") as out:
        process = await _start(launcher, ("run", "--config", str(path)), out.fileno())
    running = GatewayProcess(process, path, log)
    reading: asyncio.Task[None] | None = None
    try:
        await running.wait_until_listening()
        reading = asyncio.create_task(running.read_on())
        yield running
    finally:
        await running.stop()
        await (running.read_on() if reading is None else reading)
