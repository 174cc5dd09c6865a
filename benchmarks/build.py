"""Compiles the two C programs, which load generators and apps in Python would be too slow for."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


class CannotRun(Exception):
    """A program that is needed cannot be built, or does not run."""


def build(name: str, into: Path = HERE / "build") -> Path:
    """The program of ``name``.c, compiled again only if that has changed. Raises `CannotRun`."""
    source, program = HERE / f"{name}.c", into / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        into.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CC", "cc")
        command = [compiler, "-O2", "-o", str(program), str(source)]
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotRun(f"{source.name} was not compiled: {error}") from error
    return program
