"""
Scripts by their names on the server, which is told those that it does not know.

On Upstash a script takes the lock of the whole database, unless it says in its first line that the
locks of its keys are enough. Redis and Valkey refuse that flag. So a store that may be Upstash is
asked once whether it takes the flag: before the first script that it does not know.
"""

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from hashlib import sha1
from typing import Any, Final

from redis.exceptions import NoScriptError, ResponseError

from gateway.core.ports import Script
from gateway.store.batch import Batch, WrongReply
from gateway.store.exchanges import Exchanges
from gateway.store.packing import in_full

LOCKS_KEYS: Final = "#!lua flags=allow-key-locking\n"
"""The first line of a script that touches no key beyond those it is given, for Upstash."""

_OF_FLAG: Final = re.compile("shebang|unexpected symbol")
"""In the errors of servers that know other flags, or no first line of that kind at all."""


class Scripts:
    """Names scripts, and brings those that the server does not know."""

    def __init__(self, exchanges: Exchanges, *, locks_keys: bool = False) -> None:
        """``locks_keys`` says that the server may take the flag."""
        self._exchanges = exchanges
        self._is_asked = not locks_keys
        self._use("" if not locks_keys else LOCKS_KEYS)

    def _use(self, first_line: str) -> None:
        self._first_line = first_line
        self.digest = _digest if not first_line else _locking_digest
        """Returns the name of a script on the server, by its source."""

    async def bring(self, batch: Batch, replies: list[Any]) -> None:
        """Replace each reply that the server does not know a script; the script is sent to it."""
        for position, reply in enumerate(replies):
            if not isinstance(reply, NoScriptError):
                continue
            if (script := batch.script_of(position)) is not None:
                await self._ask()
                check = partial(_check_script, script)
                command = in_full(batch.commands()[position], self._first_line + script.source)
                [replies[position]] = await self._exchanges.execute([command], check)

    async def _ask(self) -> None:
        """
        Find out, once, whether the server takes the flag: by a script that does nothing.

        Another error, such as that of a quota, leaves the question open.
        """
        if self._is_asked:
            return
        command = ("EVAL", LOCKS_KEYS + "return 1", 0)
        [reply] = await self._exchanges.execute([command], _is_error)
        is_refused = type(reply) is ResponseError and _OF_FLAG.search(str(reply)) is not None
        self._is_asked = is_refused or not _is_error([reply])
        if is_refused:
            self._use("")


def _is_error(replies: Sequence[Any]) -> bool:
    return isinstance(replies[0], Exception)


def _check_script(script: Script, replies: Sequence[Any]) -> bool:
    [reply] = replies
    if isinstance(reply, Exception):
        return True
    if not script.accepts(reply):
        raise WrongReply(script.name)
    return False


@lru_cache(maxsize=64)
def _digest(source: str) -> str:
    """Return the name of a script on the server (its SHA-1)."""
    return sha1(source.encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=64)
def _locking_digest(source: str) -> str:
    return _digest(LOCKS_KEYS + source)
