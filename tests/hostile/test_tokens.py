"""No crafted token gets through, and none gets anything but a 401."""

import re
import time
from collections import Counter

import pytest

from gateway.authn.did_token.token import TokenFault, TokenRules, inspect
from gateway.authn.did_token.verifier import DidTokenVerifier
from gateway.core.errors import InvalidToken
from gateway.users.magic_api import SignatureChecker
from tests.fakes.memory import EveryIssuerIsAUser, FakeClock, MemoryStore
from tests.fakes.tokens import ABSENT, ALICE, AUDIENCE, minted, signed
from tests.hostile.tokens import CASES, MAX_LIFETIME_S, Case

NOW_S = float(int(time.time()))
"""The real time: magic-admin reads the clock by itself."""

RULES = TokenRules(AUDIENCE, MAX_LIFETIME_S)


class Counting:
    """A real signature checker that counts how often it is asked."""

    def __init__(self) -> None:
        self.checks = 0
        self._checker = SignatureChecker("sk_test", AUDIENCE)

    def check(self, token: str, clock_skew_s: float) -> None:
        self.checks += 1
        self._checker.check(token, clock_skew_s)


@pytest.fixture
def signatures() -> Counting:
    return Counting()


@pytest.fixture
def directory() -> EveryIssuerIsAUser:
    return EveryIssuerIsAUser()


@pytest.fixture
def verifier(signatures: Counting, directory: EveryIssuerIsAUser) -> DidTokenVerifier:
    clock = FakeClock(NOW_S)
    return DidTokenVerifier(
        signatures.check,
        directory,
        MemoryStore(clock),
        rules=RULES,
        server_key=b"k" * 32,
        clock=clock,
    )


def every(case: Case) -> str:
    return case.id


def why_refused(token: str) -> str | None:
    """The reason of magic-admin alone; None if it accepts ``token``."""
    try:
        SignatureChecker("sk_test", AUDIENCE).check(token)
    except InvalidToken as refused:
        return refused.reason
    return None


def test_table() -> None:
    """The table is long, and no case of it hides another."""
    assert len(CASES) >= 80
    assert [name for name, times in Counter(case.id for case in CASES).items() if times > 1] == []


FOUND = {
    "issuers of any shape, header and key injection": """
        iss-admin iss-other-method iss-empty-parts iss-with-a-tail iss-NUL iss-CRLF iss-megabyte
        iss-ends-in-newline
    """,
    "nesting that overflows the stack": """
        nested-70-000-deep nested-900-deep claim-nested-900-deep-and-signed
    """,
    "ext without bound or type": """
        ext-NaN ext-infinity ext-10**400 ext-float year-3000 lives-30-years
    """,
    "times that are not checked": "issued-next-hour issued-in-1970 iat-float iat-true",
    "more spellings than one": """
        junk-in-base64 claim-spaced claim-escaped pair-with-white-space pair-with-escapes
        proof-without-0x proof-upper-case proof-int proof-v-0 proof-v-1 proof-v-35 proof-v-36
        proof-high-s iss-twice tid-twice
    """,
    "TypeError": """
        json-null json-int json-true json-float json-string-of-two claim-null claim-int
        claim-float claim-true claim-array claim-string proof-null proof-float proof-array
        proof-object ext-string ext-array ext-object ext-null nbf-string nbf-array nbf-object
        nbf-null
    """,
    "KeyError": "json-object-of-two",
    "AttributeError": "iss-null iss-int iss-array iss-object",
    "ValueError": "proof-v-5 proof-v-30 proof-v-17 proof-negative",
    "IndexError": "proof-empty proof-0x",
    "binascii.Error": "proof-not-hex proof-odd-digits",
    "UnicodeEncodeError": "proof-not-ascii",
    "BadSignature": """
        proof-r-zero proof-s-zero proof-zero proof-r-order proof-off-the-curve proof-all-f
    """,
    "ValidationError": "proof-64-bytes proof-66-bytes proof-500-kilobytes proof-true",
    "wrapped by magic-admin": """
        bytes-that-are-not-utf8 byte-order-mark unpadded-base64 array-of-one array-of-three
        int-of-5000-digits
    """,
    "accepted by magic-admin": """
        nbf-float nbf-NaN nbf-infinity nbf-minus-infinity nbf-10**400 nbf-true iat-string
        iat-NaN tid-int tid-array sub-int sub-object claim-lone-surrogate
    """,
    "accepted by magic-admin for JavaScript": "claim-raw-non-ascii iss-lower-case ext-string",
}
"""What is known to come out of, or get through, magic-admin 2.5.0 and its sister; and its cases."""


@pytest.mark.parametrize("kind", FOUND)
def test_what_was_found_has_cases(kind: str) -> None:
    """No class of tokens that once did harm drops out of the table."""
    assert set() == set(FOUND[kind].split()) - {case.id for case in CASES}


@pytest.mark.parametrize("case", [case for case in CASES if not case.needs_signature], ids=every)
def test_inspect(case: Case) -> None:
    """What can be told without cryptography is, with a reason from the closed list."""
    token = case.forge(NOW_S, AUDIENCE, ALICE)
    with pytest.raises(InvalidToken) as refused:
        inspect(token, RULES, NOW_S)
    assert case.refusal is refused.type
    assert refused.value.reason in list(TokenFault)


@pytest.mark.parametrize("case", [case for case in CASES if case.needs_signature], ids=every)
def test_inspect_leaves_signatures_alone(case: Case) -> None:
    """A case that is said to need the signature check is not caught before it."""
    inspect(case.forge(NOW_S, AUDIENCE, ALICE), RULES, NOW_S)


@pytest.mark.parametrize("case", CASES, ids=every)
async def test_verify(
    case: Case, verifier: DidTokenVerifier, signatures: Counting, directory: EveryIssuerIsAUser
) -> None:
    """Each is refused as what it is, twice, after at most one check; no directory hears of it."""
    token = case.forge(NOW_S, AUDIENCE, ALICE)
    for _ in range(2):
        with pytest.raises(InvalidToken) as refused:
            await verifier.verify(token)
        assert case.refusal is refused.type
    assert signatures.checks == (1 if case.needs_signature else 0)
    assert directory.asked == []


@pytest.mark.parametrize("case", CASES, ids=every)
def test_checker_alone(case: Case) -> None:
    """Whatever comes out of magic-admin for a crafted token is an `InvalidToken` or nothing."""
    reason = why_refused(case.forge(NOW_S, AUDIENCE, ALICE))
    if reason is None:
        assert not case.needs_signature
    else:
        assert re.fullmatch(r"magic-admin: \w{1,40}", reason)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(minted(NOW_S), id="minted"),
        pytest.param(minted(NOW_S, lifetime_s=MAX_LIFETIME_S), id="lives-as-long-as-it-may"),
        pytest.param(signed(NOW_S, nbf=int(NOW_S) + 299), id="their-clock-is-ahead"),
        pytest.param(signed(NOW_S, iat=int(NOW_S) + 300), id="issued-within-the-skew"),
        pytest.param(signed(NOW_S, more="x", extra=[1, {"a": None}]), id="more-claims"),
        pytest.param(signed(NOW_S, tid="x" * 128), id="longest-token-id"),
        pytest.param(signed(NOW_S, sub=""), id="empty-subject"),
        pytest.param(signed(NOW_S, add=ABSENT), id="no-attachment"),
        pytest.param(signed(NOW_S, add=None), id="attachment-null"),
        pytest.param(signed(NOW_S, add={"0": 5}), id="attachment-is-no-signature"),
    ],
)
async def test_good_ones_pass(token: str, verifier: DidTokenVerifier) -> None:
    """The net is not so fine that a real token gets caught in it."""
    identity = await verifier.verify(token)
    assert ALICE.issuer == identity.user.issuer
