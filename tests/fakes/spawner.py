"""
Starts gateways by fork from a process that has imported the program.

The imports are most of a start: the better part of a second of CPU, which a test that starts no
other program does not have to pay. Each gateway is a process of its own, as ``python -m gateway``
makes it.
"""

import asyncio
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from struct import Struct
from typing import Protocol

from gateway.cli.main import main

_MAX_ASKED_BYTES = 256 * 1024
_NUMBER = Struct("q")
"""What is told of a process: its number, and how it ended."""


class Process(Protocol):
    """A process that runs, as asyncio has it."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def returncode(self) -> int | None:
        """Its exit status, once it has ended."""

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """Its standard error."""

    def send_signal(self, signal: int) -> None:
        """Send it a signal."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it at once."""

    async def wait(self) -> int:
        """Wait for its end; return the exit status."""


class ForkedProcess:
    """A `Process` that is no child of this one: its parent reports how it ended."""

    def __init__(self, pid: int, stderr: asyncio.StreamReader, report: int) -> None:
        self.pid = pid
        self.stderr: asyncio.StreamReader | None = stderr
        self.returncode: int | None = None
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()
        loop.add_reader(report, self._note_end, loop, report)

    def send_signal(self, number: int) -> None:
        """See `Process`. Raises `ProcessLookupError`."""
        if self.returncode is not None:
            raise ProcessLookupError
        with suppress(ProcessLookupError):  # it has ended, which will be told
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """See `Process`."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """See `Process`."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """See `Process`."""
        return await asyncio.shield(self._ended)

    def _note_end(self, loop: asyncio.AbstractEventLoop, report: int) -> None:
        loop.remove_reader(report)
        [self.returncode] = _NUMBER.unpack(os.read(report, _NUMBER.size))
        os.close(report)
        self._ended.set_result(self.returncode)


async def spawn(arguments: Sequence[str], stdout: int, env: Mapping[str, str]) -> ForkedProcess:
    """Start ``gateway`` with ``arguments``; its standard error is read by the caller."""
    error, error_end = os.pipe()
    report, report_end = os.pipe()
    asked = json.dumps(
        {"arguments": arguments, "env": dict(env), "folder": str(Path.cwd())}
    ).encode()
    try:
        socket.send_fds(_spawner(), [asked], [stdout, error_end, report_end])
    finally:
        os.close(error_end)
        os.close(report_end)
    [pid] = _NUMBER.unpack(await asyncio.to_thread(os.read, report, _NUMBER.size))
    return ForkedProcess(pid, await _reader(error), report)


async def _reader(descriptor: int) -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb", 0))
    return reader


@cache
def _spawner() -> socket.socket:
    """Start the process that forks, once; it ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.set_inheritable(True)
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        os.posix_spawn(sys.executable, command, os.environ)
    return ours


# --- the process that forks -----------------------------------------------------------------------


def fork_as_asked(asking: socket.socket) -> list[str] | None:
    """Fork for each request; returns None at the end, and in a child its command's arguments."""
    reports: dict[int, int] = {}
    """Where an end is told, by the descriptor of the process."""
    poll = select.poll()
    poll.register(asking, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in reports:
                poll.unregister(descriptor)
                _report(descriptor, reports.pop(descriptor))
                continue
            asked, given, *_ = socket.recv_fds(asking, _MAX_ASKED_BYTES, 3)
            if not asked:
                return None
            pid = os.fork()
            if not pid:
                for each in (asking.fileno(), *reports, *reports.values()):
                    os.close(each)
                return _become(json.loads(asked), given)
            stdout, stderr, report = given
            os.close(stdout)
            os.close(stderr)
            os.write(report, _NUMBER.pack(pid))
            process = os.pidfd_open(pid)
            reports[process] = report
            poll.register(process, select.POLLIN)


def _report(process: int, report: int) -> None:
    """Tell how a process ended, as `subprocess` says it."""
    ended = os.waitid(os.P_PIDFD, process, os.WEXITED)
    assert ended is not None
    status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    os.close(process)
    with suppress(BrokenPipeError):  # the test has ended
        os.write(report, _NUMBER.pack(status))
    os.close(report)


def _become(asked: Mapping[str, object], given: Sequence[int]) -> list[str]:
    """Take over what a new process is given: its files, its environment and its folder."""
    stdout, stderr, report = given
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for each in (stdout, stderr, report):
        os.close(each)
    env = asked["env"]
    assert isinstance(env, dict)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(str(asked["folder"]))
    arguments = asked["arguments"]
    assert isinstance(arguments, list)
    return arguments


def _main() -> None:
    import_module("gateway.cli.run")
    arguments = fork_as_asked(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        main(arguments, prog_name="gateway")


if __name__ == "__main__":
    _main()
