"""
Counts of the connections of each client in all workers, in memory that they share.

Each worker has a row of its own, which it alone writes, so there are no locks. A client has the
same place in each row, by a keyed hash of its address: clients with many connections share a place
once in 65 536 pairs, and cannot choose whose. The places of one worker hold the counts of those
clients alone that have a notable part of what a client may have.
"""

import mmap
import os
import secrets
import tempfile
from hashlib import blake2b

_PLACES = 1 << 16
_KEY_BYTES = 64
_CELL_BYTES = 4
_UNTOLD_PARTS = 20
"""All other workers together may have a 20th of a client's connections without telling."""


class SharedCounts:
    """The counts of all workers, as one of them, or their supervisor, uses them."""

    def __init__(self, descriptor: int, workers: int, number: int = 1) -> None:
        """Map what `create` has made; ``number`` is that of the worker, from 1 on."""
        self.parts = _UNTOLD_PARTS * workers
        """See `gateway.proxy.downstream.limits.CountsOfOthers`."""
        self._memory = mmap.mmap(descriptor, _size(workers))
        self._key = self._memory[:_KEY_BYTES]
        cells = memoryview(self._memory)[_KEY_BYTES:].cast("I")
        self._rows = [cells[at * _PLACES : (at + 1) * _PLACES] for at in range(workers)]
        self._own = self._rows[number - 1]
        self._others = [row for row in self._rows if row is not self._own]

    @staticmethod
    def create(workers: int) -> int:
        """Return a new descriptor of counts that are all 0."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("gateway-connections")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _size(workers))
        os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
        return descriptor

    def place_of(self, client: str) -> int:
        """Return the place of a client in all rows."""
        digest = blake2b(client.encode(), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest) % _PLACES

    def add(self, place: int, change: int) -> None:
        """Tell the others of ``change`` more connections."""
        self._own[place] += change

    def elsewhere(self, place: int) -> int:
        """Return what the others have told."""
        return sum(row[place] for row in self._others)

    def clear(self, number: int) -> None:
        """Forget the connections of a worker that has ended."""
        self._rows[number - 1][:] = memoryview(bytes(_PLACES * _CELL_BYTES)).cast("I")


def _size(workers: int) -> int:
    return _KEY_BYTES + workers * _PLACES * _CELL_BYTES
