"""What an exchange asks of the connection to its client."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.core.errors import BadUpstreamAnswer
from gateway.proxy.downstream.writer import ResponseWriter
from gateway.proxy.http1.parser import RawResponseMessage, StreamReader
from gateway.proxy.upstream.connection import UpstreamConnection

UpgradeHandler = Callable[[UpstreamConnection, RawResponseMessage, bytes, float], Awaitable[None]]
"""
Handles a 101: gets its head (without the fields of this hop) and the app's idle time-out in
seconds. Returns when the tunnel has ended.
"""


async def refuse_switch(*_: object) -> None:
    """Refuse a 101 that the client did not ask for. Raises `BadUpstreamAnswer`."""
    raise BadUpstreamAnswer("101 without an upgrade")


class ClientSide(Protocol):
    """The client's connection, as an exchange uses it."""

    writer: ResponseWriter

    @property
    def writing_paused(self) -> bool:
        """Whether the client does not keep up."""

    async def drain(self) -> None:
        """Wait until the client keeps up again. Raises `ClientGone`."""

    def begin_body(self) -> None:
        """Take in what has come of the request's body, which is wanted from now on."""

    async def read_body(self, body: StreamReader) -> bytes:
        """
        Return the next part of the request's body; empty at its end.

        Raises `RequestTimeout`, `BadRequest`.
        """
