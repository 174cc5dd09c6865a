"""The Python of a checkout, and the gateway that it imports."""

import sys
from pathlib import Path

import pytest

from benchmarks.build import CannotRun
from benchmarks.checkout import THIS, Checkout, Installed, checkout_at, differences, installed


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A checkout with another package of the same name."""
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway/__init__.py").write_text("")
    return tmp_path


def test_this_checkout() -> None:
    """The package of this checkout is found, with its dependencies."""
    found = installed(THIS)
    assert found.python == sys.version
    assert "aiohttp" in found.versions
    assert "magic-gateway" not in found.versions


def test_an_installed_package_does_not_shadow_the_checkout(other: Path) -> None:
    """The Python of this checkout imports another checkout if it is started for that one."""
    assert checkout_at(other) == Checkout(other.resolve(), THIS.python)
    assert installed(checkout_at(other)) == installed(THIS)


def test_its_own_python(other: Path) -> None:
    """A checkout with a ``.venv`` runs in it, as it may need other versions of its dependencies."""
    python = other / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert checkout_at(other).python == other.resolve() / ".venv/bin/python"


def test_no_checkout(tmp_path: Path) -> None:
    """A directory without the package is refused, because it would run the installed one."""
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(CannotRun, match="elsewhere"):
        installed(Checkout(tmp_path / "elsewhere", THIS.python))


def test_a_package_that_cannot_be_imported(other: Path) -> None:
    """The error contains the reason."""
    (other / "gateway/__init__.py").write_text("raise ImportError('half a checkout')")
    with pytest.raises(CannotRun, match="half a checkout"):
        installed(checkout_at(other))


def test_no_directory(tmp_path: Path) -> None:
    """A directory that does not exist is refused."""
    with pytest.raises(CannotRun, match="nowhere"):
        installed(checkout_at(tmp_path / "nowhere"))


def test_differences() -> None:
    """Differences of Python and of dependencies are named."""
    base = Installed("3.11.2", {"aiohttp": "3.14.5", "PyYAML": "6.0.3", "rich": "14"})
    here = Installed("3.11.7", {"aiohttp": "3.14.5", "PyYAML": "6.0.4", "orjson": "3"})
    assert differences(base, here) == [
        "Python 3.11.2 against 3.11.7",
        "orjson missing against 3",
        "PyYAML 6.0.3 against 6.0.4",
        "rich 14 against missing",
    ]
    assert differences(base, base) == []
