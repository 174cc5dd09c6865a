"""An app that speaks WebSocket, by a library that is not the gateway's."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


async def _echo(socket: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for message in socket:
            await socket.send(message)


def _the_last(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[-1] if offered else None


def port_of(server: Server) -> int:
    """Where it listens."""
    return int(next(iter(server.sockets)).getsockname()[1])


@asynccontextmanager
async def echoing() -> AsyncIterator[Server]:
    """A server that sends back each message."""
    async with serve(
        _echo,
        "127.0.0.1",
        0,
        max_size=None,
        ping_interval=None,
        close_timeout=5,
        select_subprotocol=_the_last,
    ) as server:
        yield server
