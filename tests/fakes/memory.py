"""The parts around the verifier, in memory: a store, a directory, a clock."""

import asyncio
from collections.abc import Sequence

from gateway.core.errors import StoreUnavailable
from gateway.core.identity import User
from gateway.core.ports import Directory, Script, Store, StoredUser
from tests.fakes.user_scripts import user_scripts


class FakeClock:
    """Stands still until a test moves it. Seconds."""

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class MemoryStore:
    """A `Store` for strings; ``is_down`` makes every method raise `StoreUnavailable`."""

    def __init__(self, clock: FakeClock) -> None:
        self.scripts = dict(user_scripts(self))
        """Functions that stand for scripts, by name."""
        self.values: dict[str, tuple[bytes, int]] = {}
        """Value and end, in Unix milliseconds."""
        self.calls: list[tuple[str, str]] = []
        self.published: list[tuple[str, bytes]] = []
        self.is_down = False
        self.refuses_writes = False
        self.delays_answers = False
        """Whether a read takes a turn of the event loop, as it does on a network."""
        self._clock = clock

    async def get(self, key: str) -> bytes | None:
        self._called("get", key)
        value = self.living(key)
        if self.delays_answers:
            await asyncio.sleep(0)
        return value

    async def get_pair(self, first: str, second: str) -> tuple[bytes | None, bytes | None]:
        self._called("get_pair", first)
        return self.living(first), self.living(second)

    def living(self, key: str) -> bytes | None:
        """The value of a key that has not ended."""
        value, ends_at_ms = self.values.get(key, (None, 0))
        return value if ends_at_ms > self._clock() * 1000 else None

    def now_ms(self) -> int:
        """The store's own clock."""
        return int(self._clock() * 1000)

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:
        self._called("set", key)
        if self.refuses_writes:
            raise StoreUnavailable("read-only")
        self.values[key] = (value, expires_at_ms)

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:
        is_absent = await self.get(key) is None
        if is_absent:
            await self.set(key, value, expires_at_ms=expires_at_ms)
        return is_absent

    async def delete(self, key: str) -> bool:
        self._called("delete", key)
        return self.values.pop(key, None) is not None

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> object:
        self._called(script.name, keys[0])
        if self.refuses_writes:
            raise StoreUnavailable("read-only")
        return self.scripts[script.name](keys, args)

    def slot_of(self, key: str) -> int:  # noqa: ARG002 (of the port)
        return 0

    async def publish(self, channel: str, message: bytes) -> None:
        self._called("publish", channel)
        self.published.append((channel, message))

    async def ping(self) -> None:
        self._called("ping", "")

    async def aclose(self) -> None:
        """Nothing is open."""

    def _called(self, command: str, key: str) -> None:
        self.calls.append((command, key))
        if self.is_down:
            raise StoreUnavailable("down")


class EveryIssuerIsAUser:
    """A `Directory` in which every issuer is a user."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now: User | None = None
        """If set, the answer to every question."""
        self.proofs: list[tuple[str, int]] = []
        """The issuers that had a proof, and until when."""
        self._users: dict[str, User] = {}

    async def read(self, issuer: str) -> StoredUser:  # noqa: ARG002 - as the port has it
        return StoredUser(None, None)

    async def user(self, issuer: str, stored: StoredUser | None = None) -> User | None:  # noqa: ARG002
        self.asked.append(issuer)
        return self.now or self._users.setdefault(issuer, User(issuer, email="alice@example.com"))

    async def proven(
        self,
        issuer: str,
        ends_at_ms: int,
        stored: StoredUser | None = None,  # noqa: ARG002 - as the port has it
    ) -> None:
        self.proofs.append((issuer, ends_at_ms))


class UnknownUsers(EveryIssuerIsAUser):
    """A `Directory` without users, or one that fails."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self._error = error

    async def user(self, issuer: str, stored: StoredUser | None = None) -> User | None:  # noqa: ARG002
        self.asked.append(issuer)
        if self._error is not None:
            raise self._error
        return None


_: tuple[type[Store], type[Directory]] = (MemoryStore, EveryIssuerIsAUser)
