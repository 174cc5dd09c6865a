"""
Load balancing and outlier ejection among the servers of an upstream.

Times are seconds of a monotonic clock.
"""

from collections.abc import Sequence
from copy import copy
from enum import Enum, auto
from functools import lru_cache
from hashlib import blake2b
from math import inf
from typing import NamedTuple

from gateway.core.route import Balance
from gateway.util.weakly import weakly

_LEAST_SHARE = 0.1
"""Share of a server that has just come back: enough to show its health, at little risk."""

_MAX_CACHED_RANKINGS = 4096
_FRACTIONS = 1 << 64


class HealthPolicy(NamedTuple):
    """When a server is ejected, and how it returns. Times in seconds."""

    eject_after: int = 5
    """Failures in a row."""
    eject_s: float = 10.0
    """Doubled each time the server fails again soon after its return."""
    longest_ejection_s: float = 300.0
    slow_start_s: float = 10.0
    """How long a server that has returned takes to get its full share."""
    healthy_after: int = 2
    unhealthy_after: int = 3


class _EndpointState(Enum):
    HEALTHY = auto()
    EJECTED = auto()
    """Outcomes are ignored: they belong to requests from before the ejection."""
    ON_TRIAL = auto()
    """The outcome of the next request decides."""


class Endpoint:
    """One server, as the balancer sees it."""

    __slots__ = (
        "_contradictions",
        "_ejections",
        "_failures",
        "_is_healthy",
        "_returned_s",
        "_state",
        "_until_s",
        "_was_checked",
        "credit",
        "in_flight",
        "is_doubted",
        "name",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_doubted = False
        """Whether `answered` would change the state."""
        self.in_flight = 0
        """Requests under way; counted by their sender."""
        self.credit = 0.0
        """Current weight in smooth weighted round-robin."""
        self._state = _EndpointState.HEALTHY
        self._failures = 0
        self._ejections = 0
        """Ejections in a row, each soon after the return from the one before."""
        self._until_s = -inf
        self._returned_s = -inf
        self._is_healthy = True
        self._was_checked = False
        self._contradictions = 0
        """Health checks in a row that contradict `_is_healthy`."""

    def is_usable(self, now_s: float) -> bool:
        """Return whether it is neither ejected nor unhealthy by its health checks."""
        return self._is_healthy and now_s >= self._until_s

    def is_ejected(self, now_s: float) -> bool:
        """Return whether it is ejected because requests to it failed."""
        return now_s < self._until_s

    def share(self, now_s: float, slow_start_s: float) -> float:
        """Return its share relative to other servers: 1, or less for a while after its return."""
        return min(1.0, max(_LEAST_SHARE, (now_s - self._returned_s) / slow_start_s))

    def is_settled(self, now_s: float, slow_start_s: float) -> bool:
        """Return whether it is healthy, and has its full share."""
        return (
            self._state is _EndpointState.HEALTHY
            and self._is_healthy
            and self.share(now_s, slow_start_s) == 1
        )

    def try_out(self) -> None:
        """Note that it gets a request; after an ejection, the outcome decides."""
        if self._state is _EndpointState.EJECTED:
            self._state = _EndpointState.ON_TRIAL

    def failed(self, now_s: float, policy: HealthPolicy, *, may_eject: bool) -> bool:
        """Record a failed request; return whether it is ejected for that."""
        if self._state is _EndpointState.EJECTED:
            return False
        self.is_doubted = True
        self._failures += 1
        is_enough = self._state is _EndpointState.ON_TRIAL or self._failures >= policy.eject_after
        if is_enough and may_eject:
            self._eject(now_s, policy)
        return is_enough and may_eject

    def _eject(self, now_s: float, policy: HealthPolicy) -> None:
        """Eject it, for longer each time unless it was healthy for that long."""
        length_s = min(policy.eject_s * 2.0 ** min(self._ejections, 32), policy.longest_ejection_s)
        if now_s - self._returned_s > length_s:
            self._ejections, length_s = 0, policy.eject_s
        self._ejections += 1
        self._state, self._failures = _EndpointState.EJECTED, 0
        self._until_s = self._returned_s = now_s + length_s

    def answered(self, now_s: float) -> None:
        """Record an answered request."""
        if self._state is _EndpointState.EJECTED:
            return
        self._failures = 0
        self.is_doubted = False
        if self._state is _EndpointState.ON_TRIAL:
            self._state = _EndpointState.HEALTHY
            if now_s < self._until_s:  # it was used as a last resort, and works again
                self._until_s = self._returned_s = now_s

    def checked(self, now_s: float, policy: HealthPolicy, *, is_healthy: bool) -> bool:
        """
        Record a health check's result; return whether it changed the state.

        The first result counts at once: until then, nothing is known.
        """
        is_first, self._was_checked = not self._was_checked, True
        if is_healthy is self._is_healthy:
            self._contradictions = 0
            return False
        self._contradictions += 1
        needed = policy.healthy_after if is_healthy else policy.unhealthy_after
        if self._contradictions < needed and not is_first:
            return False
        self._contradictions = 0
        self._is_healthy = is_healthy
        if is_healthy:
            self._returned_s = max(now_s, self._until_s)
        return True


class Balancer:
    """Chooses among the servers of one upstream."""

    def __init__(self, members: Sequence[Endpoint], balance: Balance, policy: HealthPolicy) -> None:
        self.members = tuple(members)
        self._balance = balance
        self._policy = policy
        self._has_trouble = False
        """Whether a server is out or returning; if not, the choice takes a short path."""
        self._turn = -1
        self._ranking = lru_cache(maxsize=_MAX_CACHED_RANKINGS)(weakly(self._rank))

    def choose(self, caller: str, now_s: float, tried: Sequence[Endpoint] = ()) -> Endpoint:
        """
        Return the server for the next request of ``caller``.

        If all usable servers were ``tried``, an unusable one is chosen; if all servers were tried,
        one of them again. If no server is usable, all are: the gateway's own network may be down.
        """
        if not self._has_trouble and not tried and self._balance is Balance.ROUND_ROBIN:
            self._turn = (self._turn + 1) % len(self.members)
            return self.members[self._turn]
        candidates = self._candidates(now_s, tried)
        if self._balance is Balance.BY_ISSUER:
            chosen = self._by_caller(caller, candidates, now_s)
        elif self._balance is Balance.LEAST_CONNECTIONS:
            chosen = self._least_busy(candidates, now_s)
        else:
            chosen = self._next(candidates, now_s)
        if self._has_trouble:
            chosen.try_out()
        return chosen

    def preview(self, caller: str, now_s: float) -> Endpoint:
        """Return what `choose` would return now, and leave all as it is."""
        twin = Balancer([copy(member) for member in self.members], self._balance, self._policy)
        twin._has_trouble, twin._turn = self._has_trouble, self._turn
        chosen = twin.choose(caller, now_s)
        return self.members[twin.members.index(chosen)]

    def failed(self, member: Endpoint, now_s: float) -> bool:
        """
        Record a failed request to ``member``; return whether it is ejected.

        At most half of the servers are ejected: what fails everywhere is not one server's fault.
        """
        others = sum(other.is_ejected(now_s) for other in self.members if other is not member)
        ejected = member.failed(now_s, self._policy, may_eject=others < len(self.members) // 2)
        self._has_trouble = self._has_trouble or ejected
        return ejected

    def checked(self, member: Endpoint, now_s: float, *, is_healthy: bool) -> bool:
        """Record a health check's result; return whether it changed the state of ``member``."""
        changed = member.checked(now_s, self._policy, is_healthy=is_healthy)
        self._has_trouble = self._has_trouble or changed
        return changed

    # --- choosing ------------------------------------------------------------------------------

    def _candidates(self, now_s: float, tried: Sequence[Endpoint]) -> Sequence[Endpoint]:
        if not self._has_trouble and not tried:
            return self.members
        usable = [member for member in self.members if member.is_usable(now_s)]
        slow_start_s = self._policy.slow_start_s
        self._has_trouble = not all(m.is_settled(now_s, slow_start_s) for m in self.members)
        for candidates in (usable, self.members):
            if fresh := [member for member in candidates if member not in tried]:
                return fresh
        return usable or self.members

    def _share(self, member: Endpoint, now_s: float) -> float:
        return member.share(now_s, self._policy.slow_start_s) if self._has_trouble else 1.0

    def _next(self, candidates: Sequence[Endpoint], now_s: float) -> Endpoint:
        """Choose by nginx's smooth weighted round-robin, with shares as weights."""
        total = 0.0
        for member in candidates:
            share = self._share(member, now_s)
            member.credit += share
            total += share
        chosen = max(candidates, key=_credit)
        chosen.credit -= total
        return chosen

    def _least_busy(self, candidates: Sequence[Endpoint], now_s: float) -> Endpoint:
        """Choose by requests under way, divided by the share; ties in turn."""
        self._turn += 1
        turn = self._turn % len(candidates)
        return min(
            (*candidates[turn:], *candidates[:turn]),
            key=lambda member: (member.in_flight + 1) / self._share(member, now_s),
        )

    def _by_caller(self, caller: str, candidates: Sequence[Endpoint], now_s: float) -> Endpoint:
        """Choose the caller's first candidate; one that is returning takes callers gradually."""
        usable = [
            (member, fraction) for member, fraction in self._ranking(caller) if member in candidates
        ]
        for member, fraction in usable:
            if fraction < self._share(member, now_s):
                return member
        return usable[0][0]

    def _rank(self, caller: str) -> tuple[tuple[Endpoint, float], ...]:
        """
        Return all servers in the order of rendezvous hashing for ``caller``.

        A server's place depends only on caller and server: one that leaves moves only its own
        callers. Each comes with a number from 0 to 1, to divide its callers in a slow start.
        """
        hashed = []
        for member in self.members:
            digest = blake2b(f"{member.name}\0{caller}".encode(), digest_size=16).digest()
            fraction = int.from_bytes(digest[8:], "big") / _FRACTIONS
            hashed.append((digest[:8], member, fraction))
        hashed.sort(key=lambda entry: entry[0], reverse=True)
        return tuple((member, fraction) for _, member, fraction in hashed)


def _credit(member: Endpoint) -> float:
    return member.credit
