"""Methods that do not keep their object, for what the object itself keeps: a cache, for example."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakMethod

P = ParamSpec("P")
T = TypeVar("T")


def weakly(method: Callable[P, T]) -> Callable[P, T]:
    """
    Return a function that calls ``method``, and does not keep its object alive.

    An object that kept its own method would be a reference cycle: all that it knows would wait for
    the garbage collector. Call it only while the object lives.
    """
    reference = WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        living = reference()
        if living is None:
            raise ReferenceError("the object of the method is gone")
        return living(*args, **kwargs)

    return call
