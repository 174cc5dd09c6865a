"""Programs that others wrote, as servers of a test."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

STOP_S = 30.0


def installed(program: str) -> str:
    """Find ``program``; skips the test where it is not installed."""
    beside_python = str(Path(sys.executable).parent)
    places = os.pathsep.join([beside_python, os.environ.get("PATH", ""), "/usr/sbin"])
    path = shutil.which(program, path=places)
    if path is None:
        pytest.skip(f"no {program} installed")
    return path


async def end(process: asyncio.subprocess.Process) -> None:
    """End ``process``, by force where it does not end in time."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
