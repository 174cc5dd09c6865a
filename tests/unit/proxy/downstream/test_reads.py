"""How much of what a client sends is read at once."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import uvloop

from gateway.proxy.downstream.reads import BoundedReads
from gateway.proxy.http1.parser import HttpProtocol

HEAD_BYTES = 1000


class Connection(HttpProtocol):
    """A connection that notes what happens to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.reader = SimpleNamespace(is_taking_body=False)
        self.reads: list[bytes] = []
        self.events: list[str] = []
        self.lost = loop.create_future()

    def data_received(self, data: bytes) -> None:
        self.reads.append(data)

    def eof_received(self) -> bool:
        self.events.append("eof")
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.events.append("pause")

    def resume_writing(self) -> None:
        super().resume_writing()
        self.events.append("resume")


async def reads_of(data: bytes, *, is_taking_body: bool) -> Connection:
    """A connection on a real socket whose client has sent ``data`` and closed it."""
    loop = asyncio.get_running_loop()
    connection = Connection(loop)
    connection.reader.is_taking_body = is_taking_body
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    theirs.close()
    await loop.connect_accepted_socket(lambda: BoundedReads(connection, HEAD_BYTES), ours)
    async with asyncio.timeout(20):
        await connection.lost
    return connection


@pytest.mark.parametrize("loops", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_read_is_as_large_as_there_is_use_for(
    loops: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Heads come in parts of about one, bodies in large ones; all arrives, in order."""
    data = bytes(range(256)) * 40
    with asyncio.Runner(loop_factory=loops) as runner:
        heads = runner.run(reads_of(data, is_taking_body=False))
        body = runner.run(reads_of(data, is_taking_body=True))
    assert data == b"".join(heads.reads)
    assert HEAD_BYTES == max(map(len, heads.reads))
    assert [data] == body.reads
    assert ["eof"] == heads.events == body.events
    assert heads.transport is None


FORKING = """
import os, sys
from gateway.proxy.downstream import reads

reads._BULK[:6] = b"before"
if (child := os.fork()) == 0:
    reads._BULK[:6] = b"behind"
    os._exit(0)
os.waitpid(child, 0)
sys.stdout.buffer.write(reads._BULK[:6])
"""


def test_what_is_read_is_not_seen_by_another_process() -> None:
    """The memory that is read into is a process's own, also after a fork."""
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, check=True)
    assert b"before" == done.stdout


def test_a_slow_client_is_noticed() -> None:
    """The connection hears that its client does not keep up, and that it does again."""
    loop = asyncio.new_event_loop()
    connection = Connection(loop)
    reads = BoundedReads(connection, HEAD_BYTES)
    reads.pause_writing()
    assert connection.writing_paused
    reads.resume_writing()
    assert not connection.writing_paused
    assert ["pause", "resume"] == connection.events
    loop.close()
