"""A group with sentinels whose replica is late: what the primary answers, it has a moment later."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from gateway.store.connect import redis_client
from tests.fakes.redis_kinds import MASTER, SENTINEL_PASSWORD, Process, SentinelGroup
from tests.fakes.servers import eventually

TAKEN_OVER_S = 30.0


class LaggingGroup(SentinelGroup):
    """
    The replica follows its primary by a relay, which holds each byte up.

    Sentinels take the relay away after 8 seconds: by then the primary has to be dead.
    """

    relay_port = 0

    def replicates_from(self, master: Process) -> int:
        del master
        return self.relay_port

    async def fail_over(self) -> None:
        """Have sentinels make the replica the primary, while the old one goes on."""
        url = f"redis://:{SENTINEL_PASSWORD}@127.0.0.1:{self.sentinels[0].port}"
        async with redis_client(url, 5) as sentinel:
            with suppress(ResponseError):  # one is under way
                await sentinel.execute_command("SENTINEL", "FAILOVER", MASTER)  # type: ignore[no-untyped-call]

    async def taken_over(self, old: Process, again: Callable[[], Awaitable[None]]) -> Redis:
        """
        Wait until all sentinels name another primary, and have ``old`` follow that.

        Sentinels do the last of it themselves, ten seconds later. ``again`` is done until then.
        Return a client of the new primary.
        """
        [new] = [server for server in self.servers if server is not old]

        async def is_known() -> bool:
            await again()
            return await asyncio.to_thread(self.is_master_known, new.port)

        await eventually(is_known, within_s=TAKEN_OVER_S)
        if old.is_running:
            old.resume()
            async with redis_client(f"redis://127.0.0.1:{old.port}", 5) as client:
                await client.replicaof("127.0.0.1", str(new.port))
        else:
            old.start("--replicaof", "127.0.0.1", str(new.port))
        return redis_client(f"redis://127.0.0.1:{new.port}", 5)


class _Late:
    """Carries what a primary sends to its replica, each piece ``lag_s`` later."""

    def __init__(self, port: int, lag_s: float) -> None:
        self._port = port
        self._lag_s = lag_s
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_primary, to_primary = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        tasks = [
            asyncio.ensure_future(_carry(reader, to_primary)),
            asyncio.ensure_future(self._carry_late(from_primary, writer)),
        ]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        writer.transport.abort()  # what is held up is lost, as with the machine of the primary
        to_primary.transport.abort()

    async def _carry_late(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop, held = asyncio.get_running_loop(), deque[bytes]()

        def let_go() -> None:
            if not writer.transport.is_closing():
                writer.write(held.popleft())

        with suppress(OSError):
            while chunk := await reader.read(1 << 16):
                held.append(chunk)
                loop.call_later(self._lag_s, let_go)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)


@asynccontextmanager
async def lagging_group(group: LaggingGroup, lag_s: float) -> AsyncIterator[LaggingGroup]:
    """Run ``group``, whose replica is ``lag_s`` behind, until the context ends."""
    late = _Late(group.servers[0].port, lag_s)
    server = await asyncio.start_server(late.take, "127.0.0.1", 0)
    group.relay_port = server.sockets[0].getsockname()[1]
    try:
        await asyncio.to_thread(group.start)
        yield group
    finally:
        group.stop()
        server.close()
