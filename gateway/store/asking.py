"""Single commands for operators, outside of the batches of `RedisStore`."""

import asyncio
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from gateway.core.errors import StoreUnavailable

Ask = Callable[..., Awaitable[object]]
"""
Sends one command by its words, and returns the reply: text is bytes.

Raises `CommandRefused` where the server replies with an error, `StoreUnavailable` without a reply.
"""


class CommandRefused(Exception):
    """An error reply; ``code`` is its first word, such as NOPERM."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def asking(client: Redis, timeout_s: float) -> Ask:
    """Return what asks by ``client``, whose replies are left as they are."""
    client.response_callbacks.clear()

    async def ask(*words: str | int) -> object:
        try:
            async with asyncio.timeout(timeout_s):
                reply: object = await client.execute_command(*words)  # type: ignore[no-untyped-call]
        except (ResponseError, AuthenticationError) as error:
            raise CommandRefused(code_of(error)) from error
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            raise StoreUnavailable(type(error).__name__) from error
        return reply

    return ask


def code_of(error: RedisError) -> str:
    """Return the first word of an error reply; redis-py takes that of some kinds away."""
    kind = type(error).__name__
    known = {"NoPermissionError": "NOPERM", "ReadOnlyError": "READONLY", "OutOfMemoryError": "OOM"}
    first = str(error).partition(" ")[0]
    return known.get(kind) or (first if first.isupper() else kind)
