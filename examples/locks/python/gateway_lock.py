"""
Takes locks of the gateway: work that runs once at a time, on however many servers.

No library is needed. GATEWAY_URL and GATEWAY_API_KEY come from the environment; the key has the
scope ``locks``.
"""

import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from uuid import uuid4


class LockHeldError(Exception):
    """Another run has the lock."""


@dataclass
class Lock:
    """A lock that this run holds."""

    name: str
    holder: str
    fence: int
    """Write it along: what is written to refuses a fence below the highest that it has seen."""
    lost: threading.Event = field(default_factory=threading.Event)
    """Set when a renewal failed, before the lease ends: stop then."""


@contextmanager
def gateway_lock(name: str, *, lease_s: int = 30, wait_s: int = 5) -> Iterator[Lock]:
    """
    Hold the lock ``name``; a thread renews it, so that a crash alone lets the lease end.

    Raises `LockHeldError` where another run has it and keeps it for ``wait_s``.
    """
    holder = str(uuid4())  # of this run alone; it makes a repeated request safe
    asked = {"action": "acquire", "holder": holder, "lease": f"{lease_s}s", "wait": f"{wait_s}s"}
    lock = Lock(name, holder, _ask(name, asked)["fence"])
    over = threading.Event()
    renewals = threading.Thread(target=_renew, args=(lock, lease_s, over), daemon=True)
    renewals.start()
    try:
        yield lock
    finally:
        over.set()
        renewals.join()
        with suppress(OSError, HTTPException):  # the lease ends by itself
            _ask(name, {"action": "release", "holder": holder, "fence": lock.fence})


def _renew(lock: Lock, lease_s: int, over: threading.Event) -> None:
    asked = {"action": "renew", "holder": lock.holder, "fence": lock.fence, "lease": f"{lease_s}s"}
    while not over.wait(lease_s / 3):
        try:
            _ask(lock.name, asked, timeout_s=lease_s / 3)
        except (OSError, HTTPException):
            lock.lost.set()
            return


def _ask(name: str, asked: dict[str, Any], timeout_s: float = 20) -> Any:
    request = urllib.request.Request(
        f"{os.environ['GATEWAY_URL']}/_gateway/locks/{name}",
        data=json.dumps(asked).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['GATEWAY_API_KEY']}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        if error.code == 409:
            raise LockHeldError(name) from None
        raise


if __name__ == "__main__":
    import sys

    with gateway_lock(sys.argv[1]) as held:
        print(f"fence {held.fence}")
