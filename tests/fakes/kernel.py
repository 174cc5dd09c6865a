"""The line table in C, for tests that compare it with the one in Python."""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

import pytest
from multidict import istr

from gateway.proxy.http1.kernel_table import KernelTable

NEEDS_KERNEL = pytest.mark.skipif(
    find_spec("gateway._kernel") is None, reason="the C module was not built"
)


def kernel_table(known_names: Iterable[istr]) -> KernelTable:
    """Make a table in C, whatever the environment says."""
    return KernelTable(known_names, import_module("gateway._kernel").LineReader)
