"""The C module is built hardened: it reads hostile bytes."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.fakes.kernel import NEEDS_KERNEL
from tools.build_kernel import build

SOURCE = Path(__file__).parents[2] / "gateway" / "_kernel.c"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone with the source alone."""
    (tmp_path / "gateway").mkdir()
    shutil.copy(SOURCE, tmp_path / "gateway")
    return tmp_path


def described(module: Path, *options: str) -> str:
    """What readelf says of a module."""
    command = ("readelf", "-W", *options, str(module))
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@NEEDS_KERNEL
@pytest.mark.skipif(sys.platform != "linux", reason="other platforms have other formats")
@pytest.mark.skipif(shutil.which("readelf") is None, reason="there is no readelf")
def test_the_module_is_hardened(root: Path) -> None:
    """Arrays on the stack are guarded, no stack is run, and no address can be replaced."""
    module = build(root)
    assert module is not None
    assert "__stack_chk_fail" in described(module, "--dyn-syms")
    segments = described(module, "--segments").splitlines()
    stack = next(line.split() for line in segments if "GNU_STACK" in line)
    assert "RW" == stack[-2]
    assert any("GNU_RELRO" in line for line in segments)
    assert "NOW" in described(module, "--dynamic")


def test_without_a_compiler_no_module_is_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was built of other sources would be used otherwise."""
    module = root / "gateway" / f"_kernel{sysconfig.get_config_var('EXT_SUFFIX')}"
    module.touch()
    variables = {"CC": str(root / "no-compiler"), "EXT_SUFFIX": module.name[len("_kernel") :]}
    monkeypatch.setattr(sysconfig, "get_config_var", variables.get)
    assert build(root) is None
    assert not module.exists()
