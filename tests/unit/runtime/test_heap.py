"""What becomes of the memory of large buffers."""

import ctypes
import subprocess
import sys

import pytest

from gateway.runtime.heap import keep_freed_buffers

_PROGRAM = """
import resource
from gateway.runtime.heap import keep_freed_buffers

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

keep_freed_buffers()
size = 768 * 1024
for _ in range(3):
    bytes(bytearray(size))
before = faults()
for _ in range(100):
    bytes(bytearray(size))
print(faults() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="a C library without it")
def test_a_buffer_takes_the_memory_of_the_one_before() -> None:
    """One hundred times two buffers of 192 pages cost less than one page fault each."""
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True
    )

    assert int(ran.stdout) < 200


def test_a_c_library_without_the_setting_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As musl, of Alpine Linux."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())

    assert not keep_freed_buffers()
