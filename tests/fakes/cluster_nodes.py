"""Nodes of a Redis Cluster that reply what a test says: on real sockets, without a server."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import hiredis

from gateway.store.slots import SLOTS, NodeAddress
from tests.fakes.free_port import free_port
from tests.fakes.odd_store import encoded

_OF_CONNECTIONS = {b"HELLO", b"CLIENT", b"PING", b"ECHO"}
_PLAIN = {
    **dict.fromkeys((b"CLIENT", b"ASKING", b"SET"), b"OK"),
    **dict.fromkeys((b"DEL", b"PUBLISH"), 1),
    b"HELLO": {b"proto": 3},
    b"PING": b"PONG",
}


class FakeNode:
    """One node: what it replies to GET, and what it was asked."""

    def __init__(self) -> None:
        self.port = free_port()
        self.values: dict[bytes, Any] = {}
        """By key: a value, or what is replied in its place; None for an absent key."""
        self.replies: defaultdict[bytes, list[Any]] = defaultdict(list)
        """By command: replies that come before any other."""
        self.slots: Any = []
        """The reply of CLUSTER SLOTS."""
        self.asked: list[tuple[bytes, ...]] = []
        """Commands with their arguments, without those of connections."""
        self._server: asyncio.Server | None = None
        self.is_mute = False
        """Whether it reads commands, and replies to none."""
        self.opening_s = 0.0
        """After which it reads what a connection begins with: as if it were far away."""
        self._lines: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def address(self) -> NodeAddress:
        return NodeAddress("127.0.0.1", self.port)

    async def start(self) -> None:
        """Listen: at the same port as before, if it did."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Refuse connections, and break those that are open."""
        if self._server is not None:
            self._server.close()
        for line in self._lines.values():
            line.transport.abort()
        if self._lines:
            await asyncio.wait(self._lines)

    def serves(self, *parts: tuple[int, int, "FakeNode"]) -> None:
        """Name these slots and nodes when it is asked for them."""
        self.slots = [
            [first, last, [b"127.0.0.1", node.port, b"id"]] for first, last, node in parts
        ]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = cast("asyncio.Task[None]", asyncio.current_task())
        self._lines[handler] = writer
        commands = hiredis.Reader()
        await asyncio.sleep(self.opening_s)
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                commands.feed(chunk)
                while (command := commands.gets()) is not False:
                    if not self.is_mute:
                        writer.write(encoded(self._reply(command)))
        writer.transport.abort()
        del self._lines[handler]

    def _reply(self, words: list[bytes]) -> Any:
        command = words[0]
        if command not in _OF_CONNECTIONS:
            self.asked.append(tuple(words))
        if said := self.replies[command]:
            return said.pop(0)
        if command == b"SET":
            self.values[words[1]] = words[2]
        return {
            **_PLAIN,
            b"ECHO": words[-1],
            b"GET": self.values.get(words[-1]),
            b"CLUSTER": self.slots,
        }.get(command, Exception("ERR unknown command"))

    def times(self, command: bytes) -> int:
        """Return how many times ``command`` was asked."""
        return sum(words[0] == command for words in self.asked)


@asynccontextmanager
async def fake_nodes(count: int = 2) -> AsyncIterator[list[FakeNode]]:
    """Nodes that share the slots evenly, as all of them say."""
    nodes = [FakeNode() for _ in range(count)]
    for node in nodes:
        await node.start()
    bounds = [SLOTS * number // count for number in range(count + 1)]
    parts = [
        (first, end - 1, node) for first, end, node in zip(bounds, bounds[1:], nodes, strict=False)
    ]
    for node in nodes:
        node.serves(*parts)
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.stop()
