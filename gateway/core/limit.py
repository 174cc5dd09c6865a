"""Rate limits, and how much of one a caller has used."""

from dataclasses import dataclass
from typing import Final, NamedTuple

BY_ADDRESS: Final = ("ip",)
"""Counts each client address; an IPv6 network of /64 counts as one."""
BY_HEADER: Final = "header:"
"""Begins a part of ``per`` that names a header field."""
PROVEN_PARTS: Final = frozenset({"issuer", "session", "api-key", "email", "role"})
"""Parts of ``per`` that authentication finds out."""


@dataclass(frozen=True, slots=True)
class Limit:
    """
    A rate limit of the config: ``rate`` requests in ``window_s`` seconds.

    The algorithm says how exact the window is; see `gateway.ratelimit.algorithm`.
    """

    name: str
    rate: int
    window_s: int
    on_store_failure: str = "local"
    """``local`` (count in this process), ``open`` (let pass) or ``closed`` (refuse)."""
    algorithm: str = "sliding-window"
    """
    A name in `gateway.ratelimit.algorithm.ALGORITHMS`; or ``concurrency``: at most ``rate``
    requests under way at one time, each by a lease of ``window_s``.
    """
    burst: int | None = None
    """How many requests may come at once, where that is not ``rate``: for token buckets."""
    per: tuple[str, ...] = BY_ADDRESS
    """What distinguishes callers; several parts are one key. See `gateway.ratelimit.caller`."""
    is_shadow: bool = False
    """Whether requests over the limit are reported and pass (``mode: shadow``)."""
    has_overrides: bool = False
    """Whether the store may hold another rate for a caller."""
    is_approximate: bool = False
    """Whether it is counted in this process, and told to the store now and then."""

    def __hash__(self) -> int:
        """Hash the name, by which limits of a config differ: all fields take five times as long."""
        return hash(self.name)

    @property
    def is_concurrency(self) -> bool:
        """Whether it counts requests that are under way, by leases."""
        return self.algorithm == "concurrency"

    @property
    def needs_identity(self) -> bool:
        """Whether its callers are known only after authentication."""
        return not PROVEN_PARTS.isdisjoint(self.per)

    @property
    def capacity(self) -> int:
        """The most requests that may come at once."""
        return self.rate if self.burst is None else self.burst


UNCHARGED: Final = -1
"""What remains of a shadow limit that would have refused the request: it was not charged."""


class LimitState(NamedTuple):
    """The state of one limit for one caller, after a request was charged or refused."""

    limit: Limit
    allowed: bool
    remaining: int
    reset_s: float
    """Seconds until the current window ends."""
    retry_after_s: float
    """Seconds until one more request is allowed; 0 while one already is."""


class Spend(NamedTuple):
    """A charge: so many requests of one caller against one limit."""

    limit: Limit
    caller: str
    cost: int = 1


class AnswerLimits(NamedTuple):
    """What the answer to a request tells of its limits, and what it charges to them."""

    lines: bytes = b""
    """Serialised field lines that replace those of the app; empty to keep the app's own."""
    spends: tuple[Spend, ...] = ()
    """What was charged before, where the app tells the cost; empty where the cost is fixed."""
