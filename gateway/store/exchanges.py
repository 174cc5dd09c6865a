"""What a store's batches travel by: connections of the Redis protocol, or a REST API."""

from collections.abc import Callable
from typing import Any, Protocol

from gateway.store.line import Line, Lines
from gateway.store.packing import Command

ReplyCheck = Callable[[list[Any]], bool]
"""Raises where a reply is none of its command; returns whether any is an error."""


class Exchanges(Protocol):
    """Carries commands to a store, and their replies back."""

    def take_ready(self, now_s: float) -> Line | None:
        """Take a line on which an exchange may begin without a task; None where there is none."""

    async def execute(self, commands: list[Command], check: ReplyCheck) -> list[Any]:
        """
        Send all commands; return their replies, which ``check`` has passed.

        An error reply is an exception there. Raises redis-py's errors, and `WrongReply`. Replies of
        an exchange that is interrupted reach no other.
        """

    async def read(self, commands: list[Command], check: ReplyCheck, trial: int) -> list[Any]:
        """
        Like `execute`, again where the connection breaks: for commands that only read.

        ``trial`` says how often they have been tried before.
        """

    async def aclose(self) -> None:
        """Close all connections."""


_: type[Exchanges] = Lines
