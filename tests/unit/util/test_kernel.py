"""The parts in C are used where they were built, unless the environment says otherwise."""

from types import ModuleType

import pytest

from gateway.util import kernel
from gateway.util.kernel import DESCRIPTION, KERNEL


def test_the_module_is_used_where_it_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name alone."""
    built = ModuleType("built")
    monkeypatch.delenv("GATEWAY_KERNEL", raising=False)
    monkeypatch.setattr(kernel, "import_module", {"gateway._kernel": built}.__getitem__)
    assert (built, "C") == kernel._find()


def test_off_means_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the module was built; any other value changes nothing."""
    built = ModuleType("built")
    monkeypatch.setattr(kernel, "import_module", lambda _name: built)
    monkeypatch.setenv("GATEWAY_KERNEL", "off")
    assert (None, "Python (GATEWAY_KERNEL=off)") == kernel._find()
    monkeypatch.setenv("GATEWAY_KERNEL", "on")
    assert (built, "C") == kernel._find()


def test_python_is_used_where_the_module_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that was built without a compiler works as well."""
    monkeypatch.delenv("GATEWAY_KERNEL", raising=False)
    monkeypatch.setattr(kernel, "_NAME", "gateway._not_built")
    assert kernel._find() == (None, "Python (the C module was not built)")


def test_what_is_said_is_what_is_used() -> None:
    """In this process, too."""
    assert (DESCRIPTION == "C") is (KERNEL is not None)
