"""A store that is read and never written: what an explanation asks leaves no trace in it."""

from collections.abc import Awaitable, Collection, Sequence
from typing import NoReturn, TypeVar

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script, Store

T = TypeVar("T")

READS = frozenset({"read", "latest", "list_read", "listed_issuers"})
"""Names of the scripts that write nothing, whatever they are told."""


class ReadOnlyStore:
    """
    The port `Store` in front of another one, which it only reads.

    What would be written is not, and looks as if it had been. ``failure`` says whether the store
    was asked and did not answer.
    """

    def __init__(self, inner: Store, reads: Collection[str] = READS) -> None:
        """``reads`` are the names of the scripts that are run."""
        self._inner = inner
        self._reads = reads
        self.failure: StoreUnavailable | None = None
        """The first failure; None where the store answered, or was not needed."""
        self._earlier: StoreUnavailable | None = None

    def forget_failure(self) -> None:
        """
        Begin anew: only what is asked from now on counts.

        The reason stays that of before: a store that is down is not asked again at once.
        """
        self._earlier, self.failure = self.failure or self._earlier, None

    async def get(self, key: str) -> bytes | None:
        return await self._asked(self._inner.get(key))

    async def get_pair(self, first: str, second: str) -> tuple[bytes | None, bytes | None]:
        return await self._asked(self._inner.get_pair(first, second))

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:
        pass

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:  # noqa: ARG002 (of the port)
        return await self.get(key) is None

    async def delete(self, key: str) -> bool:
        return await self.get(key) is not None

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> object:
        if script.name not in self._reads:
            return 0
        return await self._asked(self._inner.run(script, keys, args))

    def slot_of(self, key: str) -> int:
        return self._inner.slot_of(key)

    async def publish(self, channel: str, message: bytes) -> None:
        pass

    async def ping(self) -> None:
        await self._asked(self._inner.ping())

    async def aclose(self) -> None:
        """Leave the other store open: it is not ours."""

    async def _asked(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except StoreUnavailable as failure:
            if self.failure is None:  # without frames, which hold the request that has asked
                copied = StoreUnavailable(failure.reason, failure.retry_after_s)
                self.failure = self._earlier or copied
            raise


class UnreachableStore:
    """The port `Store` where there is none, such as in the memory of another process."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def get(self, key: str) -> bytes | None:  # noqa: ARG002 (of the port, as below)
        self._fail()

    async def get_pair(self, first: str, second: str) -> tuple[bytes | None, bytes | None]:  # noqa: ARG002
        self._fail()

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:  # noqa: ARG002
        self._fail()

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:  # noqa: ARG002
        self._fail()

    async def delete(self, key: str) -> bool:  # noqa: ARG002
        self._fail()

    async def run(
        self,
        script: Script,  # noqa: ARG002
        keys: Sequence[str],  # noqa: ARG002
        args: Sequence[str | int | bytes],  # noqa: ARG002
    ) -> object:
        self._fail()

    def slot_of(self, key: str) -> int:  # noqa: ARG002
        return 0

    async def publish(self, channel: str, message: bytes) -> None:  # noqa: ARG002
        self._fail()

    async def ping(self) -> None:
        self._fail()

    async def aclose(self) -> None:
        """Close nothing."""

    def _fail(self) -> NoReturn:
        raise StoreUnavailable(self._reason)


_: tuple[type[Store], type[Store]] = ReadOnlyStore, UnreachableStore
