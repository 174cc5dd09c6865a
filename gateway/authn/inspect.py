"""
What a credential says of itself, and which checks it would pass; for people who look at one.

Nothing is asked of anybody: whether Magic knows the issuer, or something was revoked or used, is
not known here. Nothing that could be used is repeated: not a key's secret, nor a token's proof.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from gateway.authn.api_key import key as api_key
from gateway.authn.credentials import API_KEY_START
from gateway.authn.did_token import token as did_token
from gateway.authn.did_token.signature import signer_of
from gateway.authn.did_token.token import DecodedToken, TokenFault, TokenRules
from gateway.authn.jwt import token as jwt
from gateway.core.errors import InvalidToken
from gateway.core.reasons import Reason
from gateway.util.rfc3339 import LAST_MS, rfc3339

_DOTS_OF_A_JWT: Final = 2
_TIME_CHECKS: Final = (
    TokenFault.LIVES_TOO_LONG,
    TokenFault.EXPIRED,
    TokenFault.NOT_YET_VALID,
    TokenFault.ISSUED_LATER,
)
SIGNATURE: Final = "signature"


class Result(StrEnum):
    """Of one check."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"


class Instant(NamedTuple):
    """A time that a credential names."""

    at: str | None
    """As RFC 3339 has it; None beyond the year 9999."""
    age_s: int
    """Negative where it lies ahead."""


@dataclass(slots=True)
class Report:
    """What was found out."""

    kind: str
    claims: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Instant] = field(default_factory=dict)
    checks: dict[str, Result] = field(default_factory=dict)
    """By the reason of those that fail."""
    reason: str | None = None
    """Why it would be refused; None where nothing here speaks against it."""
    meaning: str | None = None
    """Of the reason."""

    def fail(self, reason: str, meaning: str) -> None:
        """A check that failed; the first is why it would be refused."""
        self.checks[reason] = Result.FAILED
        if self.reason is None:
            self.reason, self.meaning = reason, meaning


def examine(text: str, rules: TokenRules | None, now_s: float, defaults: TokenRules) -> Report:
    """
    The report on ``text``, of whichever kind its shape says that it is.

    Without ``rules`` the ``defaults`` hold, and the audience is not checked.
    """
    if text.startswith(API_KEY_START):
        return _api_key(text)
    if text.count(".") == _DOTS_OF_A_JWT:
        return _jwt(text, now_s)
    return _did_token(text, rules, now_s, defaults)


def _did_token(text: str, rules: TokenRules | None, now_s: float, defaults: TokenRules) -> Report:
    report = Report("did_token", checks=dict.fromkeys(map(str, TokenFault), Result.NOT_CHECKED))
    report.checks[SIGNATURE] = Result.NOT_CHECKED
    try:
        written = did_token.read(text)
    except InvalidToken as error:
        _fail_for(report, error)
        return report
    claim = report.claims = written.claim
    report.times = _times(claim, ("iat", "nbf", "ext"), now_s)
    used = rules or defaults._replace(audience=claim.get("aud", ""))
    found = list(did_token.faults(claim, used, now_s))
    unknown = {TokenFault.OTHER_AUDIENCE} if rules is None else set[TokenFault]()
    unknown |= set(_TIME_CHECKS) if TokenFault.BAD_INSTANT in found else set()
    for check in TokenFault:
        if check not in unknown:
            report.checks[check] = Result.OK
    for fault in found:
        report.fail(fault, fault.meaning)
    _check_signature(report, written)
    return report


def _check_signature(report: Report, written: DecodedToken) -> None:
    if signer_of(written.text, written.proof) == written.claim.get("iss"):
        report.checks[SIGNATURE] = Result.OK
    else:
        report.fail(SIGNATURE, "The issuer has not signed this claim.")


def _api_key(text: str) -> Report:
    report, written = Report("api_key"), api_key.parse_key(text)
    if written is None:
        report.fail("api_key_malformed", "It is misspelled: its checksum, or its form, is wrong.")
    else:
        report.claims, report.checks = {"id": written.id}, {"checksum": Result.OK}
    return report


def _jwt(text: str, now_s: float) -> Report:
    report = Report("jwt", checks={SIGNATURE: Result.NOT_CHECKED})
    try:
        parsed = jwt.parse(text)
    except InvalidToken as error:
        _fail_for(report, error)
        return report
    report.claims = {"alg": parsed.algorithm, "kid": parsed.key_id, **parsed.claims}
    report.times = _times(report.claims, ("iat", "nbf", "exp"), now_s)
    if "exp" in report.times and report.times["exp"].age_s >= 0:
        report.fail(jwt.JwtFault.EXPIRED, jwt.JwtFault.EXPIRED.meaning)
    return report


def _fail_for(report: Report, error: InvalidToken) -> None:
    reason = error.reason
    report.fail(str(reason), reason.meaning if isinstance(reason, Reason) else "")


def _times(claims: dict[str, Any], names: Iterable[str], now_s: float) -> dict[str, Instant]:
    def instant(at_s: int) -> Instant:
        at = rfc3339(at_s * 1000) if 0 <= at_s * 1000 <= LAST_MS else None
        return Instant(at, int(now_s) - at_s)

    return {name: instant(claims[name]) for name in names if type(claims.get(name)) is int}
