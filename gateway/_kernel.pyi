# The parts in C, which may be missing; see _kernel.c, and gateway.util.kernel.

from collections.abc import Callable, Sequence
from typing import Any, final, overload

from multidict import CIMultiDictProxy

@final
class Lines(Sequence[bytes]):
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> bytes: ...
    @overload
    def __getitem__(self, index: slice, /) -> Sequence[bytes]: ...
    def joined(self, indexes: bytes, at: int, more: bytes, /) -> bytes: ...

@final
class LineReader:
    def __new__(
        cls,
        text_of: Callable[[bytes], str | None],
        cookies: dict[bytes, tuple[str, str]],
        judge_cookie: Callable[[bytes], str],
        received: type[tuple[Any, ...]],
        make: Callable[[Sequence[tuple[str, str]]], CIMultiDictProxy[str]],
        /,
    ) -> LineReader: ...
    def read(self, block: bytes, max_fields: int, /) -> Any: ...

@final
class PathReader:
    def __new__(
        cls,
        exact: dict[str, list[Any]],
        prefix: dict[str, list[Any]],
        target: type[tuple[Any, ...]],
        /,
    ) -> PathReader: ...
    def read(self, raw: str, /) -> Any: ...

def json_line(
    names: tuple[bytes | None, ...], values: tuple[str | float | None, ...], /
) -> bytes: ...
