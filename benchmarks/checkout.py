"""A checkout of the gateway: the interpreter that runs it, and proof that it runs this one."""

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
    """A directory with the package ``gateway``, and a Python that has what the package needs."""

    directory: Path
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        """
        Variables of a process that imports the package of this checkout.

        ``PYTHONPATH`` comes before site-packages, so an editable install of another checkout
        does not shadow it.
        """
        return {**os.environ, "PYTHONPATH": str(self.directory)}


THIS = Checkout(HERE.parent, Path(sys.executable))
"""The checkout that this module is part of."""


class Installed(NamedTuple):
    """What the Python of a checkout imports."""

    python: str
    """Version and build."""
    versions: Mapping[str, str]
    """Versions of the installed distributions, by name; the gateway itself is left out."""


def checkout_at(directory: Path) -> Checkout:
    """The checkout in ``directory``, with its own ``.venv`` if it has one, else with our Python."""
    root = directory.resolve()
    own = root / ".venv" / "bin" / "python"
    return Checkout(root, own if own.exists() else THIS.python)


def installed(checkout: Checkout) -> Installed:
    """
    Ask the Python of ``checkout`` what it imports.

    The question is asked with the interpreter, directory and environment that the gateway is
    started with. Raises `CannotRun` if the package is not the one of the checkout.
    """
    found = _probe(checkout)
    expected = checkout.directory / "gateway" / "__init__.py"
    if Path(found["package"]).resolve() != expected.resolve():
        raise CannotRun(f"{checkout.python} imports {found['package']}, and not {expected}")
    versions = {name: found["versions"][name] for name in found["versions"] if name != _OWN_NAME}
    return Installed(found["python"], versions)


def _probe(checkout: Checkout) -> dict[str, Any]:
    try:
        answer = subprocess.run(
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
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def differences(base: Installed, here: Installed) -> list[str]:
    """What differs beside the code: the ratio measures it, too. Pure."""
    told = []
    if base.python != here.python:
        told.append(f"Python {base.python} against {here.python}")
    for name in sorted({*base.versions, *here.versions}, key=str.lower):
        old, new = base.versions.get(name), here.versions.get(name)
        if old != new:
            told.append(f"{name} {old or 'missing'} against {new or 'missing'}")
    return told
