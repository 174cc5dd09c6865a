"""Coroutines that do something around another one."""

from abc import abstractmethod
from collections.abc import Coroutine, Generator
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class Around(Coroutine[Any, Any, T]):
    """
    Awaits ``rest``, and does something before or after. A subclass says what in `__await__`.

    In place of an ``async`` function, as ``rest`` may never be awaited: then it is closed, and its
    own closing is all there is to do.
    """

    def __init__(self, rest: Coroutine[Any, Any, T]) -> None:
        self._rest = rest

    @abstractmethod
    def __await__(self) -> Generator[Any, Any, T]:
        """Await ``rest``."""

    def close(self) -> None:
        self._rest.close()

    def send(self, value: Any) -> NoReturn:
        raise NotImplementedError("it is awaited, and never driven by hand")

    def throw(self, *error: Any) -> NoReturn:
        raise NotImplementedError("it is awaited, and never driven by hand")
