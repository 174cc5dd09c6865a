"""The world that real clients are let loose on, and the packages of those that run in Node."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.journey.conftest import around, shared_world

__all__ = ["around", "shared_world"]

PACKAGES = Path(__file__).parents[1] / "node"
INSTALL_S = 60


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the packages of ``tests/node`` are installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node and npm are needed")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PACKAGES / name, folder)
    install = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
        cwd=folder,
        capture_output=True,
        timeout=INSTALL_S,
        check=False,
    )
    if install.returncode != 0:
        pytest.skip("npm could not install the packages")
    return folder
