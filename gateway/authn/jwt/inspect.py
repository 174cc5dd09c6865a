"""Report on a JWT."""

from gateway.authn.inspect import SIGNATURE, InspectionContext, Report, Result, fail_for, times_of
from gateway.authn.jwt.token import JwtFault, parse
from gateway.core.errors import InvalidToken


def inspect_jwt(text: str, context: InspectionContext) -> Report:
    """Report on a JWT: what it says, unverified."""
    report = Report("jwt", checks={SIGNATURE: Result.NOT_CHECKED})
    try:
        parsed = parse(text)
    except InvalidToken as error:
        fail_for(report, error)
        return report
    report.claims = {"alg": parsed.algorithm, "kid": parsed.key_id, **parsed.claims}
    report.times = times_of(report.claims, ("iat", "nbf", "exp"), context.now_s)
    if "exp" in report.times and report.times["exp"].age_s >= 0:
        report.fail(JwtFault.EXPIRED, JwtFault.EXPIRED.meaning)
    return report
