"""Imports of the Ethereum libraries, without their side effects."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_UNUSED = ("eth_keyfile", "eth_keyfile.keyfile")
"""
Modules for keystore files, which the gateway does not use.

eth-account imports them, and py_ecc with them, which computes tables of pairings: 0.4 s, a third of
the time that a start takes.
"""


class _Unused:
    """A placeholder for all names in an unused module: a type that cannot be instantiated."""

    def __init__(self, *args: object, **options: object) -> None:
        raise NotImplementedError("keystore files are not used here")


class _UnusedModule(ModuleType):
    def __getattr__(self, name: str) -> type[_Unused]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Unused


@contextmanager
def eth_imports() -> Iterator[None]:
    """
    Provide the context in which magic-admin and eth-account must be imported first.

    py_ecc raises the interpreter's recursion limit to 100 000, and then 70 000 opening brackets in
    any JSON crash a Python 3.11 process: the limit is restored. Deprecation warnings of the
    libraries are ignored. Expensive modules that the gateway does not use are not imported.
    """
    limit = sys.getrecursionlimit()
    placeholders = {name: _UnusedModule(name) for name in _UNUSED if name not in sys.modules}
    sys.modules.update(placeholders)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        for name in placeholders:
            del sys.modules[name]
        sys.setrecursionlimit(limit)
