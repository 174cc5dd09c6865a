"""
Inspection of a credential for an operator: its claims, and the checks that it passes or fails.

Works offline: whether Magic knows the issuer, and whether the credential was revoked or used, is
not known here. The report repeats no secrets: neither the secret of a key nor the proof of a token.

Each kind has its own `Inspector`; they are in the table of `gateway.runtime.services.credentials`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from gateway.authn.did_token.token import TokenRules
from gateway.core.errors import InvalidToken
from gateway.core.reasons import Reason
from gateway.util.rfc3339 import LAST_MS, rfc3339

SIGNATURE: Final = "signature"


class Result(StrEnum):
    """Result of one check."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"


class Instant(NamedTuple):
    """A time that a credential names."""

    at: str | None
    """In RFC 3339; None beyond the year 9999."""
    age_s: int
    """Negative for a time in the future."""


@dataclass(slots=True)
class Report:
    """Report on one credential."""

    kind: str
    claims: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Instant] = field(default_factory=dict)
    checks: dict[str, Result] = field(default_factory=dict)
    """Results, by the reason that a failed check gives."""
    reason: str | None = None
    """Why the gateway would refuse it; None where all checks pass."""
    meaning: str | None = None
    """Meaning of ``reason``."""

    def fail(self, reason: str, meaning: str) -> None:
        """Record a failed check. The first one is the reason of the refusal."""
        self.checks[reason] = Result.FAILED
        if self.reason is None:
            self.reason, self.meaning = reason, meaning


class InspectionContext(NamedTuple):
    """What credentials are checked by."""

    rules: TokenRules | None
    """Of DID tokens; without them ``defaults`` hold, and the audience is not checked."""
    defaults: TokenRules
    now_s: float


class Inspector(NamedTuple):
    """How one kind of credential is told from others, and reported on."""

    has_shape: Callable[[str], bool]
    inspect: Callable[[str, InspectionContext], Report]


def examine(text: str, inspectors: Iterable[Inspector], context: InspectionContext) -> Report:
    """
    Report on ``text`` by the first inspector whose shape it has.

    The last of ``inspectors`` must take any shape.
    """
    inspector = next(found for found in inspectors if found.has_shape(text))
    return inspector.inspect(text, context)


def fail_for(report: Report, error: InvalidToken) -> None:
    """Note why a credential was refused, and what that means."""
    reason = error.reason
    report.fail(str(reason), reason.meaning if isinstance(reason, Reason) else "")


def times_of(claims: dict[str, Any], names: Iterable[str], now_s: float) -> dict[str, Instant]:
    """The times among ``names`` that a credential names, in seconds since 1970."""

    def instant(at_s: int) -> Instant:
        at = rfc3339(at_s * 1000) if 0 <= at_s * 1000 <= LAST_MS else None
        return Instant(at, int(now_s) - at_s)

    return {name: instant(claims[name]) for name in names if type(claims.get(name)) is int}
