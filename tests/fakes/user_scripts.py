"""What the scripts of the users' records do, as functions over values in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

Word = str | int | bytes


class Values(Protocol):
    """A store in memory."""

    values: dict[str, tuple[bytes, int]]

    def living(self, key: str) -> bytes | None: ...

    def now_ms(self) -> int: ...


def user_scripts(
    store: Values,
) -> Mapping[str, Callable[[Sequence[str], Sequence[Word]], object]]:
    """Return the functions for ``tell`` and ``untell``, by the name of their script."""

    def tell(keys: Sequence[str], args: Sequence[Word]) -> int:
        before, after, ends_at_ms = args
        old = store.living(keys[0])
        if old is not None and not _is_ours(old):
            return 0
        ends = max([int(ends_at_ms), *_end(store, keys[0], old)])
        if ends <= store.now_ms():
            return 0
        assert isinstance(before, bytes)
        assert isinstance(after, bytes)
        store.values[keys[0]] = b"%b%d%b" % (before, ends, after), ends
        return 1

    def untell(keys: Sequence[str], _: Sequence[Word]) -> int:
        old = store.living(keys[0])
        if old is None or not _is_ours(old):
            return 0
        del store.values[keys[0]]
        return 1

    return {"tell": tell, "untell": untell}


def _end(store: Values, key: str, old: bytes | None) -> Iterator[int]:
    if old is not None:
        yield store.values[key][1]


def _is_ours(text: bytes) -> bool:
    is_old = b',"fetched_at_ms":' in text and b',"seal":"' in text
    return is_old or b'"gateway":{"seal":"' in text
