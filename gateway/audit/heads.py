"""Heads of chains in the store, so that a cut end of a file is found."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from gateway.audit.chain import Head, read_head
from gateway.audit.verify import HEAD_KEPT_MS
from gateway.core.lua import lua_source
from gateway.core.ports import Script, Store
from gateway.core.replies import is_count

HEAD_KEY: Final = "audit:"
"""``audit:{writer}``: the latest line of a writer."""

_WRITE: Final = Script("audit_head", lua_source("gateway.audit", "head"), is_count)


class Heads:
    """The heads of all writers that share a store. Every method raises `StoreUnavailable`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def write(self, writer: str, head: Head) -> None:
        """Write the head of a writer, unless the store has a later one."""
        args: list[str | int | bytes] = [head.seq, head.encode(), HEAD_KEPT_MS]
        await self._store.run(_WRITE, [HEAD_KEY + writer], args)

    async def read(self, keys: AsyncGenerator[str, None]) -> dict[str, Head]:
        """Read all heads; ``keys`` are those of the store that begin with `HEAD_KEY`."""
        found: dict[str, Head] = {}
        async with aclosing(keys):
            async for key in keys:
                record = await self._store.get(key)
                head = None if record is None else read_head(record)
                if head is not None:
                    found[key.removeprefix(HEAD_KEY)] = head
        return found
