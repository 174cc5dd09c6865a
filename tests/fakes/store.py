"""A store in memory: an implementation of the port like any other, that can be told to fail."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Clock, Script, Store

Word = str | int | bytes
ScriptFunction = Callable[[Sequence[str], Sequence[Word]], object]


class FakeStore:
    """
    Keeps values until their time is over by ``clock``.

    ``asked`` lists what was asked of it. While ``is_down``, everything raises `StoreUnavailable`.
    While ``gate`` is not set, nothing is answered: what is asked happens at once, and its caller
    hears of it only when the gate opens. Scripts are functions, by the script's name.
    """

    def __init__(self, clock: Clock, scripts: Mapping[str, ScriptFunction] | None = None) -> None:
        self.clock = clock
        self.scripts = dict(scripts or {})
        self.values: dict[str, tuple[bytes, int]] = {}
        """By key: the value, and the Unix time in milliseconds at which it ends."""
        self.asked: list[tuple[str, str]] = []
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, key: str) -> bytes | None:
        self._hear("get", key)
        value = self._living(key)
        await self.gate.wait()
        return value

    async def get_pair(self, first: str, second: str) -> tuple[bytes | None, bytes | None]:
        return await self.get(first), await self.get(second)

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:
        self._hear("set", key)
        self.values[key] = value, expires_at_ms
        await self.gate.wait()

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:
        self._hear("add", key)
        is_absent = self._living(key) is None
        if is_absent:
            self.values[key] = value, expires_at_ms
        await self.gate.wait()
        return is_absent

    async def delete(self, key: str) -> bool:
        self._hear("delete", key)
        was_there = self._living(key) is not None
        self.values.pop(key, None)
        await self.gate.wait()
        return was_there

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> object:
        self._hear("run", script.name)
        reply = self.scripts[script.name](keys, args)
        await self.gate.wait()
        return reply

    def slot_of(self, key: str) -> int:  # noqa: ARG002 (of the port)
        return 0

    async def publish(self, channel: str, message: bytes) -> None:
        self._hear("publish", f"{channel} {message.decode()}")
        await self.gate.wait()

    async def ping(self) -> None:
        self._hear("ping", "")
        await self.gate.wait()

    async def aclose(self) -> None:
        self.is_down = True

    def _hear(self, command: str, key: str) -> None:
        self.asked.append((command, key))
        if self.is_down:
            raise StoreUnavailable("is down")

    def _living(self, key: str) -> bytes | None:
        value, ends_ms = self.values.get(key, (b"", 0))
        return value if self.clock() * 1000 < ends_ms else None


_: type[Store] = FakeStore
