"""The parts in C: one place says whether they are used. The Python beside them is the reference."""

import os
from importlib import import_module
from types import ModuleType

_NAME = "gateway._kernel"
_SWITCH = "GATEWAY_KERNEL"


def _find() -> tuple[ModuleType | None, str]:
    """Return the module, and what is used and why, for those who run the gateway."""
    if os.environ.get(_SWITCH) == "off":
        return None, f"Python ({_SWITCH}=off)"
    try:
        return import_module(_NAME), "C"
    except ImportError:
        return None, "Python (the C module was not built)"


KERNEL, DESCRIPTION = _find()
"""The module, None where Python is used; and which of both that is."""
