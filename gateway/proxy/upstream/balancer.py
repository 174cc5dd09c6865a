"""
Which server of an upstream gets a request, and which ones are left alone.

Times are seconds of a clock that does not go back.
"""

from collections.abc import Sequence
from enum import Enum, auto
from functools import lru_cache
from hashlib import blake2b
from math import inf
from typing import NamedTuple

from gateway.core.route import Balance

_LEAST_SHARE = 0.1
"""Of a server that has just come back: enough to prove itself, little enough to fail cheaply."""

_REMEMBERED_CALLERS = 4096
_FRACTIONS = 1 << 64


class HealthPolicy(NamedTuple):
    """When a server is taken out, and how it comes back. Times in seconds."""

    eject_after: int = 5
    """Failures in a row."""
    eject_s: float = 10.0
    """Doubled each time that the server fails again soon after its return."""
    longest_ejection_s: float = 300.0
    slow_start_s: float = 10.0
    """Until a server that came back has its full share."""
    healthy_after: int = 2
    unhealthy_after: int = 3


class _EndpointState(Enum):
    WELL = auto()
    EJECTED = auto()
    """What is heard of it is about requests from before, and says nothing new."""
    ON_TRIAL = auto()
    """Its next answer, or failure, decides."""


class Endpoint:
    """One server as the balancer sees it."""

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
        """Whether `answered` has something to change."""
        self.in_flight = 0
        """Requests under way; counted by whoever sends them."""
        self.credit = 0.0
        """How much it is owed in round-robin."""
        self._state = _EndpointState.WELL
        self._failures = 0
        self._ejections = 0
        """In a row, each soon after the return from the one before."""
        self._until_s = -inf
        self._returned_s = -inf
        self._is_healthy = True
        self._was_checked = False
        self._contradictions = 0
        """Health checks in a row that say other than what is believed."""

    def is_usable(self, now_s: float) -> bool:
        """Whether it is neither ejected nor found ill by health checks."""
        return self._is_healthy and now_s >= self._until_s

    def is_ejected(self, now_s: float) -> bool:
        """Whether it is left alone because requests to it failed."""
        return now_s < self._until_s

    def share(self, now_s: float, slow_start_s: float) -> float:
        """Of what an equal server gets: 1, or less for a while after its return."""
        return min(1.0, max(_LEAST_SHARE, (now_s - self._returned_s) / slow_start_s))

    def is_settled(self, now_s: float, slow_start_s: float) -> bool:
        """Whether nothing sets it apart: it is well, and has been for a while."""
        return (
            self._state is _EndpointState.WELL
            and self._is_healthy
            and self.share(now_s, slow_start_s) == 1
        )

    def try_out(self) -> None:
        """It gets a request: if it was ejected, what comes of that decides."""
        if self._state is _EndpointState.EJECTED:
            self._state = _EndpointState.ON_TRIAL

    def failed(self, now_s: float, policy: HealthPolicy, *, may_eject: bool) -> bool:
        """A request to it failed; whether it is ejected for that."""
        if self._state is _EndpointState.EJECTED:
            return False
        self.is_doubted = True
        self._failures += 1
        is_enough = self._state is _EndpointState.ON_TRIAL or self._failures >= policy.eject_after
        if is_enough and may_eject:
            self._eject(now_s, policy)
        return is_enough and may_eject

    def _eject(self, now_s: float, policy: HealthPolicy) -> None:
        """For longer each time, unless it has been well for as long as it would be out."""
        length_s = min(policy.eject_s * 2.0 ** min(self._ejections, 32), policy.longest_ejection_s)
        if now_s - self._returned_s > length_s:
            self._ejections, length_s = 0, policy.eject_s
        self._ejections += 1
        self._state, self._failures = _EndpointState.EJECTED, 0
        self._until_s = self._returned_s = now_s + length_s

    def answered(self, now_s: float) -> None:
        """A request to it was answered."""
        if self._state is _EndpointState.EJECTED:
            return
        self._failures = 0
        self.is_doubted = False
        if self._state is _EndpointState.ON_TRIAL:
            self._state = _EndpointState.WELL
            if now_s < self._until_s:  # it was asked as the last resort, and is back
                self._until_s = self._returned_s = now_s

    def checked(self, now_s: float, policy: HealthPolicy, *, is_well: bool) -> bool:
        """
        A health check's result; whether it changed what is believed.

        The first one is believed at once: until then, nothing is known.
        """
        is_first, self._was_checked = not self._was_checked, True
        if is_well is self._is_healthy:
            self._contradictions = 0
            return False
        self._contradictions += 1
        needed = policy.healthy_after if is_well else policy.unhealthy_after
        if self._contradictions < needed and not is_first:
            return False
        self._contradictions = 0
        self._is_healthy = is_well
        if is_well:
            self._returned_s = max(now_s, self._until_s)
        return True


class Balancer:
    """The servers of one upstream."""

    def __init__(self, members: Sequence[Endpoint], balance: Balance, policy: HealthPolicy) -> None:
        self.members = tuple(members)
        self._balance = balance
        self._policy = policy
        self._has_trouble = False
        """Whether some server is out, or on its way back: else nobody needs to look."""
        self._turn = -1
        self._ranking = lru_cache(maxsize=_REMEMBERED_CALLERS)(self._rank)

    def choose(self, caller: str, now_s: float, tried: Sequence[Endpoint] = ()) -> Endpoint:
        """
        The server for the next request of ``caller``.

        One that is out is asked where all that are in were ``tried``; one that was tried, where all
        were. With all servers out, all are in: it may be our own network that failed.
        """
        if not self._has_trouble and not tried and self._balance is Balance.ROUND_ROBIN:
            self._turn = (self._turn + 1) % len(self.members)
            return self.members[self._turn]
        candidates = self._candidates(now_s, tried)
        if self._balance is Balance.BY_ISSUER:
            chosen = self._of(caller, candidates, now_s)
        elif self._balance is Balance.LEAST_CONNECTIONS:
            chosen = self._least_busy(candidates, now_s)
        else:
            chosen = self._next(candidates, now_s)
        if self._has_trouble:
            chosen.try_out()
        return chosen

    def failed(self, member: Endpoint, now_s: float) -> bool:
        """
        A request to ``member`` failed; whether it is left alone from now on.

        At most half of the servers are: what fails everywhere is not one server's fault.
        """
        others = sum(other.is_ejected(now_s) for other in self.members if other is not member)
        ejected = member.failed(now_s, self._policy, may_eject=others < len(self.members) // 2)
        self._has_trouble = self._has_trouble or ejected
        return ejected

    def checked(self, member: Endpoint, now_s: float, *, is_well: bool) -> bool:
        """A health check's result; whether it changed what is believed of ``member``."""
        changed = member.checked(now_s, self._policy, is_well=is_well)
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
        """In turn, by share: nginx's smooth weighted round-robin."""
        total = 0.0
        for member in candidates:
            share = self._share(member, now_s)
            member.credit += share
            total += share
        chosen = max(candidates, key=_credit)
        chosen.credit -= total
        return chosen

    def _least_busy(self, candidates: Sequence[Endpoint], now_s: float) -> Endpoint:
        """By requests under way, divided by the share; in turn where that is equal."""
        self._turn += 1
        turn = self._turn % len(candidates)
        return min(
            (*candidates[turn:], *candidates[:turn]),
            key=lambda member: (member.in_flight + 1) / self._share(member, now_s),
        )

    def _of(self, caller: str, candidates: Sequence[Endpoint], now_s: float) -> Endpoint:
        """The caller's first choice that is there; one on its way back takes callers by and by."""
        usable = [
            (member, fraction) for member, fraction in self._ranking(caller) if member in candidates
        ]
        for member, fraction in usable:
            if fraction < self._share(member, now_s):
                return member
        return usable[0][0]

    def _rank(self, caller: str) -> tuple[tuple[Endpoint, float], ...]:
        """
        All servers in the order in which ``caller`` prefers them (rendezvous hashing).

        Each server's place depends on caller and server alone: one that leaves moves its own
        callers and nobody else's. With each a number from 0 to 1, to tell callers apart.
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
