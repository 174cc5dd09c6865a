"""How the Ethereum libraries are imported: without what else their import does."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_UNUSED = ("eth_keyfile", "eth_keyfile.keyfile")
"""
Keystore files, of which there are none here.

eth-account imports this, and py_ecc with it, which then makes tables of pairings: 0.4 s, a third
of what a start takes.
"""


class _Unused:
    """What stands for everything in such a module: a type among types, that cannot be made."""

    def __init__(self, *args: object, **options: object) -> None:
        raise NotImplementedError("keystore files are not used here")


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> type[_Unused]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Unused


@contextmanager
def eth_imports() -> Iterator[None]:
    """
    Import magic-admin or eth-account in here, first.

    Importing either raises the interpreter's recursion limit to 100 000 (py_ecc does), with which
    70 000 opening brackets in any JSON crash a Python 3.11 process; so the limit is put back. It
    also warns of deprecations that are not ours to repair. What is expensive to import and not
    used here is not imported.
    """
    limit = sys.getrecursionlimit()
    stand_ins = {name: _StandIn(name) for name in _UNUSED if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
        sys.setrecursionlimit(limit)
