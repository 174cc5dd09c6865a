"""
A relay before a real store whose replies come out wrong: behind, swapped, of another type.

It works on whole replies over real sockets. What the server replied is kept right on its side, so
that only the relay has to heal.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import hiredis

Manner = Callable[["Line", list[Any]], list[Any]]
"""What becomes of the replies that have come together."""


class Line:
    """One connection through the relay."""

    def __init__(self, relay: "OddStore") -> None:
        self._relay = relay
        self._reader = hiredis.Reader(notEnoughData=...)
        self.held: Any = None
        """The reply that the manner "behind" owes."""

    def changed(self, chunk: bytes) -> bytes:
        """Return what is sent on for what the server sent."""
        self._reader.feed(chunk)
        replies: list[Any] = []
        while (reply := self._reader.gets()) is not ...:
            replies.append(reply)
        manner = self._relay.manner
        if replies and manner is not right:
            self._relay.changed += 1
        out = manner(self, replies) if replies else []
        if replies:
            self.held = replies[-1]
        return self._relay.garbage or b"".join(map(encoded, out))


# --- manners ------------------------------------------------------------------------------------


def right(_: Line, replies: list[Any]) -> list[Any]:
    """As the server replied."""
    return replies


def behind(line: Line, replies: list[Any]) -> list[Any]:
    """Each reply goes to the command after its own."""
    return [line.held, *replies[:-1]]


def swapped(_: Line, replies: list[Any]) -> list[Any]:
    """The first reply changes places with the last; a single one is of another command."""
    return [replies[-1], *replies[1:-1], replies[0]] if len(replies) > 1 else [b"swapped"]


def of_wrong_type(_: Line, replies: list[Any]) -> list[Any]:
    """All but the last: numbers are lists, lists are numbers, values are numbers."""
    return [*([reply] if isinstance(reply, int) else 5 for reply in replies[:-1]), replies[-1]]


def of_wrong_members(_: Line, replies: list[Any]) -> list[Any]:
    """Members of lists: values are numbers, numbers are texts."""
    return [
        [b"text" if isinstance(member, int) else 5 for member in reply]
        if isinstance(reply, list)
        else reply
        for reply in replies
    ]


def too_few(_: Line, replies: list[Any]) -> list[Any]:
    """Lists lose their last member."""
    return [reply[:-1] if isinstance(reply, list) else reply for reply in replies]


def too_many(_: Line, replies: list[Any]) -> list[Any]:
    """Lists gain a member."""
    return [[*reply, *reply[-1:]] if isinstance(reply, list) else reply for reply in replies]


def doubled(_: Line, replies: list[Any]) -> list[Any]:
    """Each reply comes twice."""
    return [reply for reply in replies for _ in range(2)]


def of_other_keys(_: Line, replies: list[Any]) -> list[Any]:
    """Values of lists stand in the reverse order, as if each were of another key."""
    return [
        reply[::-1] if isinstance(reply, list) and isinstance(reply[-1], bytes) else reply
        for reply in replies
    ]


def nothing(_: Line, __: list[Any]) -> list[Any]:
    """No reply comes."""
    return []


WRONG: dict[str, Manner] = {
    manner.__name__: manner
    for manner in (behind, swapped, of_wrong_type, of_wrong_members, too_few, too_many, doubled)
}
"""All manners in which replies come that are not what was asked for."""


def encoded(reply: Any) -> bytes:
    """Write a reply as the protocol does (RESP2, with maps and doubles of RESP3)."""
    match reply:
        case None:
            return b"$-1\r\n"
        case int() | float():
            return (f":{reply}\r\n" if isinstance(reply, int) else f",{reply!r}\r\n").encode()
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case list():
            return b"*%d\r\n%b" % (len(reply), b"".join(map(encoded, reply)))
        case dict():
            words = [word for pair in reply.items() for word in pair]
            return b"%%%d\r\n%b" % (len(reply), b"".join(map(encoded, words)))
        case Exception():
            return b"-%b\r\n" % str(reply).encode()
    raise TypeError(type(reply))


class OddStore:
    """The relay; ``manner`` may be changed at any time."""

    def __init__(self, server_url: str) -> None:
        self.server_url = server_url
        self._path = Path(tempfile.mkdtemp(prefix="odd-")) / "s"
        self.manner: Manner = right
        self.garbage = b""
        """What is sent in place of replies, if anything is."""
        self.changed = 0
        """How many times replies came that were changed."""
        self.opened = 0
        """Connections so far."""
        self.opening_s = 0.0
        """After which each of them is carried on: as if the server were far away."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"unix://{self._path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to the server; without a server it is closed."""
        self.opened += 1
        await asyncio.sleep(self.opening_s)
        with suppress(OSError):
            from_server, to_server = await asyncio.open_unix_connection(
                self.server_url.removeprefix("unix://")
            )
            asked = asyncio.create_task(_carry(reader, to_server, bytes))
            try:
                await _carry(from_server, writer, Line(self).changed)
            finally:
                asked.cancel()
                to_server.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Accept connections until the context ends."""
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self.serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: writer.close())

        server = await asyncio.start_unix_server(accept, self._path)
        try:
            yield
        finally:
            server.close()
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # the transports close
            self._path.unlink(missing_ok=True)
            self._path.parent.rmdir()


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    change: Callable[[bytes], bytes],
) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(1 << 16):
            writer.write(change(chunk))
            await writer.drain()
    writer.close()


@asynccontextmanager
async def odd_store(server_url: str) -> AsyncIterator[OddStore]:
    """A relay before the server at ``server_url`` (a unix socket)."""
    relay = OddStore(server_url)
    async with relay.serving():
        yield relay
