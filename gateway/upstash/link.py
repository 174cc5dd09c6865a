"""Connections to the store, each as one of its users: exchanges of commands, and what it pushes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from gateway.core.errors import GatewayError
from gateway.upstash.commands import ACCESS_RULES, Command
from gateway.upstash.resp import ErrorReply, ReplyReader, ReplyTooLong, RespFault, RespReply, encode

EXCHANGE_S: Final = 10.0
"""Deadline of an exchange, connecting included."""

MAX_LINKS: Final = 8
"""Connections for each user; a request waits for one until its deadline."""

MAX_REPLY_BYTES: Final = 32 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024


class LinkBroken(GatewayError):
    """The store did not answer, or not in time; what was sent may have had effect."""


class RepliesTooLong(LinkBroken):
    """The replies of an exchange are longer than what is kept of them."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"{size_bytes} bytes of replies")
        self.size_bytes = size_bytes


class Link:
    """A connection to the store. One exchange at a time; after a failure, it must be closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._replies = ReplyReader(MAX_REPLY_BYTES)
        self._ready: deque[RespReply] = deque()

    @classmethod
    async def open(cls, socket_path: str, user: str | None) -> "Link":
        """
        Connect, and act as ``user`` of the table of rules; without one, as the store's owner.

        The rules are set on each connection: a store that died and was restarted has none.
        """
        link = cls(*await asyncio.open_unix_connection(socket_path))
        try:
            if user is not None:
                await link._act_as(user)
        except BaseException:
            link.close()
            raise
        return link

    async def _act_as(self, user: str) -> None:
        name = user.encode()
        set_user = (b"ACL", b"SETUSER", name, b"reset", b"on", b"nopass", b"~*", b"&*")
        commands = ((*set_user, *ACCESS_RULES[user]), (b"AUTH", name, b"any"))
        for reply in await self.exchange(commands):
            if isinstance(reply.value, ErrorReply):
                raise LinkBroken(reply.value.text.decode("utf-8", "replace"))

    async def exchange(self, commands: Sequence[Command]) -> list[RespReply]:
        """Send ``commands`` at once, and return a reply for each. Raises `LinkBroken`."""
        self._writer.write(encode(commands))
        replies: list[RespReply] = []
        size_bytes = 0
        for _ in commands:
            replies.append(await self.next())
            size_bytes += len(replies[-1].raw)
            if size_bytes > MAX_REPLY_BYTES:
                raise RepliesTooLong(size_bytes)
        return replies

    async def next(self) -> RespReply:
        """Return the next reply, or message that the store pushes. Raises `LinkBroken`."""
        while not self._ready:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise LinkBroken("the store closed the connection")
            try:
                self._ready.extend(self._replies.feed(data))
            except ReplyTooLong as fault:
                raise RepliesTooLong(fault.size_bytes) from fault
            except RespFault as fault:
                raise LinkBroken(str(fault)) from fault
        return self._ready.popleft()

    @property
    def is_usable(self) -> bool:
        """Whether the next reply answers the next command."""
        return not (self._ready or self._reader.at_eof() or self._writer.is_closing())

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


class LinkPool:
    """Connections of one user, kept for the next exchange."""

    def __init__(self, socket_path: str, user: str) -> None:
        self._socket_path = socket_path
        self._user = user
        self._idle: list[Link] = []
        self._free = asyncio.Semaphore(MAX_LINKS)

    async def exchange(self, commands: Sequence[Command]) -> list[RespReply]:
        """Send ``commands`` on one connection; a reply for each. Raises `LinkBroken`."""
        try:
            async with asyncio.timeout(EXCHANGE_S), self._free, self._taken() as link:
                return await link.exchange(commands)
        except (OSError, TimeoutError) as error:
            raise LinkBroken(type(error).__name__) from error

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[Link]:
        """Take a connection; whatever ends the exchange early closes it."""
        link = self._idle_link() or await Link.open(self._socket_path, self._user)
        try:
            yield link
        except BaseException:
            link.close()
            raise
        self._idle.append(link)

    def _idle_link(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if link.is_usable:
                return link
            link.close()
        return None

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()


@asynccontextmanager
async def open_link(socket_path: str, user: str | None) -> AsyncIterator[Link]:
    """Open a connection for a stream of events; the context closes it. Raises `LinkBroken`."""
    try:
        async with asyncio.timeout(EXCHANGE_S):
            link = await Link.open(socket_path, user)
    except (OSError, TimeoutError) as error:
        raise LinkBroken(type(error).__name__) from error
    try:
        yield link
    finally:
        with suppress(OSError):
            link.close()
