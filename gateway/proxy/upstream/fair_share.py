"""
Fair shares of a server's connections: no client takes the last of them from all others.

A client is named by the key of its rate limits: its own address where it is behind a trusted proxy,
and for IPv6 its /64.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_PARTS = 4
"""The last quarter of the connections is shared out by quarters."""


def share_of(total: int) -> int:
    """Return how many of ``total`` connections are kept for clients that hold no more than that."""
    return total // _PARTS


def may_hold(held: int, busy: int, total: int) -> bool:
    """
    Return whether a client that holds ``held`` connections may have one more.

    ``busy`` of ``total`` are in use. While fewer than a quarter are free, no client gets more than
    a quarter. Below four connections there is nothing to share out.
    """
    quarter = share_of(total)
    return total - busy > quarter or held < quarter


class Waiting(NamedTuple, Generic[T]):
    """What waits, and its client."""

    client: str
    item: T


class FairQueue(Generic[T]):
    """A queue with a line for each client; the clients take turns, so none is behind a flood."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: dict[str, deque[T]] = {}
        """By client, the one whose turn is next first; a client that waits for nothing has none."""

    def append(self, client: str, item: T) -> None:
        """Put ``item`` at the end of its client's line."""
        self.lines.setdefault(client, deque()).append(item)

    def first(self, is_allowed: Callable[[str], bool]) -> Waiting[T] | None:
        """
        Return what is next of the clients that are allowed.

        At most as many clients are passed over as may be at their share.
        """
        for client, line in self.lines.items():
            if is_allowed(client):
                return Waiting(client, line[0])
        return None

    def remove(self, client: str, item: T) -> None:
        """Take ``item`` out, if it is there; the next turn is another client's."""
        line = self.lines.get(client)
        if line is None or item not in line:
            return
        line.remove(item)
        del self.lines[client]
        if line:
            self.lines[client] = line
