"""Standard streams: closed ones, and an output that takes no more."""

import errno
import os
import subprocess
import sys

import pytest

FULL = "/dev/full"
"""Takes nothing, as a full disk."""
_LIMIT_S = 60


def ran(redirection: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with ``words``, and its streams as a shell redirects them."""
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, *words]
    return subprocess.run(shell, capture_output=True, text=True, timeout=_LIMIT_S, check=False)


@pytest.mark.parametrize(
    "words", [pytest.param(["--version"], id="short"), pytest.param(["schema"], id="long")]
)
def test_an_output_that_takes_no_more_ends_the_command(words: list[str]) -> None:
    """With a message and a status of its own, in place of a traceback."""
    full = ran(f"> {FULL}", "-m", "gateway", *words)
    message = f"gateway: standard output: {os.strerror(errno.ENOSPC)}\n"
    assert (2, message) == (full.returncode, full.stderr)
    written = ran("", "-m", "gateway", *words)
    assert (0, "") == (written.returncode, written.stderr)
    assert written.stdout


_PREPARED = """
import os, sys
from gateway.cli.standard_streams import prepare_streams
prepare_streams()
null = os.stat(os.devnull).st_rdev
streams = [os.fstat(each).st_rdev == null and os.get_inheritable(each) for each in range(3)]
is_above = os.open(os.devnull, os.O_RDONLY) > 2
print(*streams, is_above, repr(sys.stdin.read()), file=sys.__stderr__ or sys.stdout)
"""


@pytest.mark.parametrize(
    ("redirection", "told"),
    [
        pytest.param("<&-", "True False False True ''", id="input"),
        pytest.param(">&- < /dev/null", "True True False True ''", id="output"),
        pytest.param("2>&- < /dev/null", "True False True True ''", id="errors"),
    ],
)
def test_a_closed_stream_is_opened(redirection: str, told: str) -> None:
    """As the null device, so that no other file gets its number; the others stay."""
    found = ran(redirection, "-c", _PREPARED)
    assert f"{told}\n" == found.stdout + found.stderr


def test_a_reader_that_has_gone_is_no_failure() -> None:
    """As of ``gateway schema | head -1``: without a message, as click ends it."""
    shell = f"{sys.executable} -m gateway schema | true"
    found = subprocess.run(
        ["sh", "-c", shell], capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    assert ("", "") == (found.stdout, found.stderr)
