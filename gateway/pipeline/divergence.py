"""Divergences: what another config would have decided about a request that was decided by ours."""

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from gateway.core.errors import Refusal
from gateway.core.identity import Identity
from gateway.core.problem import problem_of
from gateway.core.request import Outbound, Reply

_CRLF = b"\r\n"


class Divergence(StrEnum):
    """What differs first, in the order of how much it matters."""

    WOULD_ADMIT = "would_admit"
    """Refused by the config in use, and not by the other one."""
    WOULD_REFUSE = "would_refuse"
    OTHER_ANSWER = "other_answer"
    """Another refusal, or another answer of the gateway's own."""
    OTHER_IDENTITY = "other_identity"
    """Another caller, or one with other roles or permissions."""
    OTHER_ROUTE = "other_route"
    OTHER_UPSTREAM = "other_upstream"
    OTHER_TARGET = "other_target"
    OTHER_FIELDS = "other_fields"
    """Other header fields for the app."""


class Decision(NamedTuple):
    """What a config decided about a request."""

    route: str
    """Empty where no route was found."""
    outcome: Outbound | Reply | Refusal

    @property
    def text(self) -> str:
        """Say it in a few words, for a line of the log; no client has written any of them."""
        route = f" by route {self.route}" if self.route else ""
        match self.outcome:
            case Refusal() as refusal:
                answer = problem_of(refusal)
                return f"refused {answer.status} {answer.code}{route}"
            case Reply() as reply:
                return f"answered {reply.status}{route}"
            case outbound:
                return f"admitted to {outbound.route.upstream}{route}"


def divergence(
    live: Decision, candidate: Decision, unlike: Collection[bytes] = ()
) -> Divergence | None:
    """
    Return what differs first between two decisions about one request; None where they are alike.

    ``unlike`` are names of header fields, in lower case, that differ each time, such as assertions.
    """
    ours, theirs = live.outcome, candidate.outcome
    if isinstance(ours, Refusal) != isinstance(theirs, Refusal):
        is_refused = isinstance(theirs, Refusal)
        return Divergence.WOULD_REFUSE if is_refused else Divergence.WOULD_ADMIT
    if isinstance(ours, Outbound) and isinstance(theirs, Outbound):
        return _between_admitted(ours, theirs, unlike)
    if _answer(ours) != _answer(theirs):
        return Divergence.OTHER_ANSWER
    return Divergence.OTHER_ROUTE if live.route != candidate.route else None


def _between_admitted(
    ours: Outbound, theirs: Outbound, unlike: Collection[bytes]
) -> Divergence | None:
    differs = (
        (Divergence.OTHER_IDENTITY, _caller(ours.identity) != _caller(theirs.identity)),
        (Divergence.OTHER_ROUTE, ours.route.name != theirs.route.name),
        (Divergence.OTHER_UPSTREAM, ours.route.upstream != theirs.route.upstream),
        (Divergence.OTHER_TARGET, ours.target != theirs.target),
        (Divergence.OTHER_FIELDS, _lines(ours, unlike) != _lines(theirs, unlike)),
    )
    return next((kind for kind, is_so in differs if is_so), None)


def _answer(outcome: Outbound | Reply | Refusal) -> tuple[int, str]:
    """Return status and code of an answer of the gateway's own; 0 for an app's."""
    match outcome:
        case Refusal() as refusal:
            answer = problem_of(refusal)
            return answer.status, answer.code
        case Reply() as reply:
            return reply.status, ""
        case _:
            return 0, ""


def _caller(identity: Identity | None) -> tuple[object, ...]:
    if identity is None:
        return ()
    return identity.user, identity.method, identity.roles, identity.permissions


def _lines(outbound: Outbound, unlike: Collection[bytes]) -> list[bytes]:
    lines = sorted(outbound.fields.split(_CRLF))
    return [line for line in lines if _name(line) not in unlike]


def _name(line: bytes) -> bytes:
    """Return the name as apps may read it: to many of them ``_`` is ``-``."""
    return line.partition(b":")[0].lower().replace(b"_", b"-")
