"""What an exchange asks of the connection to its client."""

from typing import Protocol

from gateway.proxy.downstream.writer import ResponseWriter
from gateway.proxy.http1.parser import StreamReader


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
