"""How the Ethereum libraries are imported: without what else their import does."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def foreign_imports() -> Iterator[None]:
    """
    Import magic-admin or eth-account in here, first.

    Importing either raises the interpreter's recursion limit to 100 000 (py_ecc does), with which
    70 000 opening brackets in any JSON crash a Python 3.11 process; so the limit is put back. It
    also warns of deprecations that are not ours to repair.
    """
    limit = sys.getrecursionlimit()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        sys.setrecursionlimit(limit)
