"""Compile the load generator and the app, which are in C because Python would be too slow."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
_TLS = ("-DWITH_TLS", "-lssl", "-lcrypto")


class CannotRun(Exception):
    """A program that is needed cannot be built, or does not run."""


class NotHere(CannotRun):
    """A scenario needs a feature that this machine, or this gateway, lacks: it is left out."""


def build(name: str, into: Path = HERE / "build") -> Path:
    """Compile ``name``.c, unless the program is newer. Raises `CannotRun`."""
    return _build(HERE / f"{name}.c", into / name, ())


def build_load_with_tls(into: Path = HERE / "build") -> Path:
    """Compile the load generator with TLS. Raises `NotHere` if OpenSSL's headers are missing."""
    try:
        return _build(HERE / "load.c", into / "load-tls", _TLS)
    except CannotRun as error:
        raise NotHere(f"{error}; on Debian: apt-get install libssl-dev") from error


def _build(source: Path, program: Path, options: tuple[str, ...]) -> Path:
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CC", "cc")
        command = [compiler, "-O2", "-o", str(program), str(source), *options]
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotRun(f"{source.name} was not compiled: {error}") from error
    return program
