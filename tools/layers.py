"""
Read the layers and storeys of ``tools/layers.toml``.

    python -m tools.layers deciding

prints the files that `make test` requires full branch coverage for, as ``coverage report
--include`` takes them.
"""

import sys
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gateway"
_FILE = Path(__file__).with_suffix(".toml")


class Layer(NamedTuple):
    """A layer: patterns of its modules, by their names inside the package."""

    name: str
    about: str
    is_deciding: bool
    """Whether all branches must be tested."""
    modules: list[str]

    def holds(self, module: str) -> bool:
        """Whether ``module`` is in this layer."""
        return any(fnmatchcase(module, pattern) for pattern in self.modules)


@cache
def layers() -> list[Layer]:
    """List the layers in the order of the file: each uses itself and those before it."""
    return [Layer(**entry) for entry in _document()["layers"]]


def storeys() -> list[list[str]]:
    """List the rooms of each storey, from the top: a storey uses those after it."""
    rooms: list[list[str]] = _document()["storeys"]
    return rooms


@cache
def module_names() -> list[str]:
    """List the modules by their names inside the package, without ``__init__`` modules."""
    paths = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return sorted(
        ".".join(path.with_suffix("").parts) for path in paths if path.name != "__init__.py"
    )


def deciding() -> list[str]:
    """List the modules of all deciding layers."""
    chosen = [layer for layer in layers() if layer.is_deciding]
    return [name for name in module_names() if any(layer.holds(name) for layer in chosen)]


def files(modules: Iterable[str]) -> list[str]:
    """Convert modules to paths below the root of the repository."""
    return [f"gateway/{name.replace('.', '/')}.py" for name in modules]


def _document() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text("utf-8"))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["deciding"]:
            sys.stdout.write(",".join(files(deciding())) + "\n")
        case _:
            sys.exit("usage: python -m tools.layers deciding")
