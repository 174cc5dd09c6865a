"""Checkouts of the gateway: the Python of each, and a check that it imports that checkout."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.build import HERE, CannotRun

_PROBE_S = 30.0
_OWN_NAME = "magic-gateway"
_PROBE = """
import gateway, importlib.metadata, json, sys
print(json.dumps({
    "package": gateway.__file__,
    "python": sys.version,
    "versions": {each.name: each.version for each in importlib.metadata.distributions()},
}))
"""


class Checkout(NamedTuple):
    """A directory with the package ``gateway``, and a Python with its dependencies."""

    directory: Path
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        """
        Environment of a process that imports the package of this checkout.

        ``PYTHONPATH`` comes before site-packages, so an editable install of another checkout
        does not shadow it.
        """
        return {**os.environ, "PYTHONPATH": str(self.directory)}


THIS = Checkout(HERE.parent, Path(sys.executable))
"""The checkout that contains this module."""


class Installed(NamedTuple):
    """The Python of a checkout, and its installed distributions."""

    python: str
    """Version and build."""
    versions: Mapping[str, str]
    """Versions by name, without the gateway itself."""


def checkout_at(directory: Path) -> Checkout:
    """Find the checkout in ``directory``, with its ``.venv`` if it has one, else this Python."""
    root = directory.resolve()
    own = root / ".venv" / "bin" / "python"
    return Checkout(root, own if own.exists() else THIS.python)


def installed(checkout: Checkout) -> Installed:
    """
    List the distributions that the Python of ``checkout`` has.

    It is started with the same interpreter, directory and environment as the gateway. Raises
    `CannotRun` if it imports another package than that of the checkout.
    """
    answer = _probe(checkout)
    expected = checkout.directory / "gateway" / "__init__.py"
    if Path(answer["package"]).resolve() != expected.resolve():
        raise CannotRun(f"{checkout.python} imports {answer['package']}, and not {expected}")
    versions = {name: answer["versions"][name] for name in answer["versions"] if name != _OWN_NAME}
    return Installed(answer["python"], versions)


def _probe(checkout: Checkout) -> dict[str, Any]:
    try:
        process = subprocess.run(
            [checkout.python, "-c", _PROBE],
            cwd=checkout.directory,
            env=checkout.environment,
            capture_output=True,
            check=True,
            text=True,
            timeout=_PROBE_S,
        )
    except subprocess.CalledProcessError as error:
        where = f"in {checkout.directory}, {checkout.python} imports no gateway"
        raise CannotRun(f"{where}:\n{error.stderr}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRun(f"{checkout.directory}: {error}") from error
    answer: dict[str, Any] = json.loads(process.stdout)
    return answer


def differences(base: Installed, here: Installed) -> list[str]:
    """List differences beside the code, because the ratio includes their effect. Pure."""
    lines = []
    if base.python != here.python:
        lines.append(f"Python {base.python} against {here.python}")
    for name in sorted({*base.versions, *here.versions}, key=str.lower):
        old, new = base.versions.get(name), here.versions.get(name)
        if old != new:
            lines.append(f"{name} {old or 'missing'} against {new or 'missing'}")
    return lines
