"""Report on a DID token."""

from typing import Final

from gateway.authn.did_token.signature import signer_of
from gateway.authn.did_token.token import DecodedToken, TokenFault, faults, read
from gateway.authn.inspect import (
    SIGNATURE,
    InspectionContext,
    Report,
    Result,
    fail_for,
    times_of,
)
from gateway.core.errors import InvalidToken

_TIME_CHECKS: Final = (
    TokenFault.LIVES_TOO_LONG,
    TokenFault.EXPIRED,
    TokenFault.NOT_YET_VALID,
    TokenFault.ISSUED_LATER,
)


def inspect_did_token(text: str, context: InspectionContext) -> Report:
    """Report on a DID token: its claim, its times, and every check that needs no network."""
    rules, defaults, now_s = context
    report = Report("did_token", checks=dict.fromkeys(map(str, TokenFault), Result.NOT_CHECKED))
    report.checks[SIGNATURE] = Result.NOT_CHECKED
    try:
        decoded = read(text)
    except InvalidToken as error:
        fail_for(report, error)
        return report
    claim = report.claims = decoded.claim
    report.times = times_of(claim, ("iat", "nbf", "ext"), now_s)
    used = rules or defaults._replace(audience=claim.get("aud", ""))
    found = list(faults(claim, used, now_s))
    unknown = {TokenFault.OTHER_AUDIENCE} if rules is None else set[TokenFault]()
    unknown |= set(_TIME_CHECKS) if TokenFault.BAD_INSTANT in found else set()
    for check in TokenFault:
        if check not in unknown:
            report.checks[check] = Result.OK
    for fault in found:
        report.fail(fault, fault.meaning)
    _check_signature(report, decoded)
    return report


def _check_signature(report: Report, decoded: DecodedToken) -> None:
    if signer_of(decoded.text, decoded.proof) == decoded.claim.get("iss"):
        report.checks[SIGNATURE] = Result.OK
    else:
        report.fail(SIGNATURE, "The issuer has not signed this claim.")
