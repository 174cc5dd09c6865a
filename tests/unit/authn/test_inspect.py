"""Inspection of credentials for operators."""

import pytest

from gateway.authn.api_key import key as api_key
from gateway.authn.did_token.token import TokenFault, TokenRules
from gateway.authn.inspect import (
    SIGNATURE,
    InspectionContext,
    Instant,
    Report,
    Result,
    examine,
)
from gateway.runtime.services.credentials.registry import inspectors
from tests.fakes.jwts import signed as jwt
from tests.fakes.tokens import ALICE, AUDIENCE, BOB, minted, packed, signed
from tests.hostile.tokens import CASES, MAX_LIFETIME_S, Case

NOW_S = 1_800_000_000.0
RULES = TokenRules(AUDIENCE, MAX_LIFETIME_S)
KEY, PARTS = api_key.format_key(b"i" * 10, b"s" * 32)


def report_on(text: str, rules: TokenRules | None = RULES) -> Report:
    return examine(text, inspectors(), InspectionContext(rules, RULES._replace(audience=""), NOW_S))


def failed(report: Report) -> list[str]:
    return [name for name, result in report.checks.items() if result is Result.FAILED]


def test_all_checks_of_a_valid_token_pass() -> None:
    """The report holds its claims and times."""
    report = report_on(minted(NOW_S - 60))
    assert (None, None) == (report.reason, report.meaning)
    assert {Result.OK} == set(report.checks.values())
    assert {*map(str, TokenFault), SIGNATURE} == set(report.checks)
    assert ALICE.issuer == report.claims["iss"]
    assert Instant("2027-01-15T07:59:00.000Z", 60) == report.times["iat"]
    assert Instant("2027-01-15T08:14:00.000Z", -840) == report.times["ext"]


def test_without_rules_the_audience_is_not_checked() -> None:
    """It is reported as not checked, and is no reason to refuse."""
    report = report_on(signed(NOW_S, aud="did:magic:another"), None)
    assert report.reason is None
    assert [TokenFault.OTHER_AUDIENCE] == [
        name for name, result in report.checks.items() if result is not Result.OK
    ]


def test_all_faults_are_reported() -> None:
    """The first is the reason of the refusal."""
    ext = int(NOW_S) - 5
    report = report_on(signed(NOW_S - 60, BOB, aud="x", tid="", ext=ext, iss=ALICE.issuer))
    assert {TokenFault.OTHER_AUDIENCE, TokenFault.BAD_ID, TokenFault.EXPIRED, SIGNATURE} == set(
        failed(report)
    )
    assert (TokenFault.OTHER_AUDIENCE, TokenFault.OTHER_AUDIENCE.meaning) == (
        report.reason,
        report.meaning,
    )


def test_an_unreadable_token_has_one_fault() -> None:
    """Its other checks are reported as not checked."""
    report = report_on(packed("[]"))
    assert [TokenFault.NOT_A_PAIR] == failed(report)
    assert {} == report.claims
    assert Result.NOT_CHECKED is report.checks[SIGNATURE]

    report = report_on(signed(NOW_S, iat="yesterday", ext=2**53))
    assert [TokenFault.BAD_INSTANT] == failed(report)
    assert Result.NOT_CHECKED is report.checks[TokenFault.EXPIRED]
    assert Result.OK is report.checks[SIGNATURE]
    assert None is report.times["ext"].at
    assert "iat" not in report.times


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_hostile_tokens_are_reported_as_refused(case: Case) -> None:
    """No exception gets out."""
    report = report_on(case.forge(NOW_S, AUDIENCE, ALICE))
    if report.kind == "did_token":
        assert ([SIGNATURE] == failed(report)) is case.needs_signature
    assert report.reason is not None


def test_an_api_key_is_reported_by_its_id() -> None:
    """Its secret is not repeated; the checksum reveals a typing mistake."""
    report = report_on(KEY)
    assert ({"id": PARTS.id}, None) == (report.claims, report.reason)
    assert PARTS.secret not in repr(report)
    misspelled = report_on(KEY[:-1] + ("0" if KEY[-1] != "0" else "1"))
    assert ("api_key_malformed", {}) == (misspelled.reason, misspelled.claims)


def test_a_jwt_is_reported_unverified() -> None:
    """It is refused if it has expired or is malformed."""
    report = report_on(jwt({"sub": "ada", "exp": int(NOW_S) + 60}))
    assert ("ada", -60, None) == (report.claims["sub"], report.times["exp"].age_s, report.reason)
    assert {SIGNATURE: Result.NOT_CHECKED} == report.checks
    assert "jwt_expired" == report_on(jwt({"exp": int(NOW_S)})).reason
    assert "jwt" == report_on("a.b.c").kind
    assert report_on("a.b.c").reason is not None
