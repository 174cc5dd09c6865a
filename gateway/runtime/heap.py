"""
Memory of large buffers: what is freed stays with the process, for the next one.

glibc returns a freed buffer of a body to the system, or not, by where it happens to lie. The next
one then costs a page fault for each 4 KiB: 8 % of an upload of 1 MiB.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES = 8 * 1024 * 1024
"""How much free memory at the end of the heap is kept."""
_LARGE_BYTES = 1024 * 1024
"""A larger buffer is memory of its own, which is returned when it is freed."""


def keep_freed_buffers() -> bool:
    """Keep memory that buffers of bodies have freed; return whether the C library can."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
