"""
Builds the C module while the package is built: in place, beside the Python that it replaces.

Where there is no compiler, or it fails, the package is built without: then the Python is used.
`hatch` runs it for a wheel and for an editable install; `python -m tools.build_kernel` alone too.
"""

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand
    BuildHookInterface = object

_FLAGS = ("-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Wno-unused-parameter")
_HARDENED = ("-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2")
_HARDENED_LINUX = ("-Wl,-z,relro,-z,now,-z,noexecstack",)
"""Of the linker: that of another platform refuses them."""
_QUIET = ("-Wno-missing-field-initializers", "-Wno-cast-function-type")


def build(root: Path) -> Path | None:
    """Compile the module for this Python; return it, or None where that is not possible."""
    module = root / "gateway" / f"_kernel{sysconfig.get_config_var('EXT_SUFFIX')}"
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    include = f"-I{sysconfig.get_path('include')}"
    source = str(root / "gateway" / "_kernel.c")
    partial = module.with_suffix(".partial")
    try:
        subprocess.run(
            [*compiler, *_flags(), include, "-o", str(partial), source],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        module.unlink(missing_ok=True)  # of other sources
        return None
    partial.replace(module)
    return module


def _flags() -> tuple[str, ...]:
    linked = _HARDENED_LINUX if sys.platform == "linux" else ()
    return (*_FLAGS, *_HARDENED, *linked, *_QUIET)


class KernelBuildHook(BuildHookInterface):  # type: ignore[misc,unused-ignore]
    """Adds the module to a wheel, which is then one for this platform and Python."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the module; ``version`` says whether the install is editable."""
        module = build(Path(self.root))
        if module is not None and version != "editable":
            build_data["pure_python"], build_data["infer_tag"] = False, True
            build_data["force_include"][str(module)] = f"gateway/{module.name}"


if __name__ == "__main__":
    made = build(Path(__file__).parent.parent)
    print(made or "not built: there is no C compiler, or no header of Python")
    sys.exit(made is None)
