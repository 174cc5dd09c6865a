"""What the stages of one request found out, in the order in which they ran."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.core.errors import PROBLEM_TYPES, Refusal
from gateway.core.reasons import Reason

Details = dict[str, Any]
"""What a stage found out, as JSON."""


class StageVerdict(StrEnum):
    """What a stage, or all of them, decided."""

    ADMITTED = "admitted"
    PASSED = "passed"
    REFUSED = "refused"
    ANSWERED = "answered"
    """By the gateway itself: a CORS preflight, or a forward-auth check that may pass."""


class StageTrace(NamedTuple):
    """One stage, and what it found out."""

    stage: str
    verdict: StageVerdict
    details: Details

    def as_json(self) -> Details:
        """Write it for programs."""
        return {"stage": self.stage, "verdict": self.verdict.value, **self.details}


@dataclass(slots=True)
class Trace:
    """Takes down the stages of one request."""

    stages: list[StageTrace] = field(default_factory=list)

    def passed(self, stage: str, **details: Any) -> None:
        """Note a stage that let the request pass."""
        self.stages.append(StageTrace(stage, StageVerdict.PASSED, details))

    def refused(self, stage: str, refusal: Refusal, **details: Any) -> None:
        """Note the stage that refused the request; the first one that says so counts."""
        self.stages.append(
            StageTrace(stage, StageVerdict.REFUSED, {**code_and_reason(refusal), **details})
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[Details]:
        """Note a stage with the details that are written meanwhile, however it ends."""
        details: Details = {}
        try:
            yield details
        except Refusal as refusal:
            self.refused(name, refusal, **details)
            raise
        self.passed(name, **details)


def code_and_reason(refusal: Refusal) -> Details:
    """Return the code of ``refusal``, and its reason where it has one, with what that means."""
    told: Details = {"code": PROBLEM_TYPES[type(refusal)].code}
    if refusal.reason:
        told["reason"] = str(refusal.reason)
    if isinstance(refusal.reason, Reason):
        told["meaning"] = refusal.reason.meaning
    return told


class Explanation(NamedTuple):
    """Why a request is admitted or refused."""

    route: str | None
    """The name of its route; None where none was found."""
    verdict: StageVerdict
    status: int | None
    """Of the gateway's answer; None where the app answers."""
    code: str
    """Of the refusal; empty where there is none."""
    reason: str
    request: Details
    stages: tuple[StageTrace, ...]
    notes: tuple[str, ...] = ()
    """What the explanation cannot know."""
    unreached: str = ""
    """What was needed and did not answer; empty where the explanation is complete."""

    def as_json(self) -> Details:
        """Write it for programs."""
        return {
            "route": self.route,
            "verdict": self.verdict.value,
            "status": self.status,
            "code": self.code,
            "reason": self.reason,
            "request": self.request,
            "stages": [stage.as_json() for stage in self.stages],
            "notes": list(self.notes),
            "unreached": self.unreached,
        }
