"""Compiles the two C programs, which load generators and apps in Python would be too slow for."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
_TLS = ("-DWITH_TLS", "-lssl", "-lcrypto")


class CannotRun(Exception):
    """A program that is needed cannot be built, or does not run."""


class NotHere(CannotRun):
    """A scenario needs what this machine, or this gateway, does not have: it is left out."""


def build(name: str, into: Path = HERE / "build") -> Path:
    """The program of ``name``.c, compiled again only if that has changed. Raises `CannotRun`."""
    return _build(HERE / f"{name}.c", into / name, ())


def build_load_with_tls(into: Path = HERE / "build") -> Path:
    """The load generator that speaks TLS. Raises `NotHere` where OpenSSL's headers are missing."""
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
