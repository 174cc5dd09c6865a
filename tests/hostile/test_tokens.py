"""No crafted token gets through, and none gets anything but a 401."""

import re
import time
from collections import Counter

import pytest

from gateway.errors import InvalidToken
from gateway.identity.did_token import Fault, Rules, inspect
from gateway.identity.magic import SignatureChecker
from gateway.identity.verifier import DidTokenVerifier
from tests.fakes.memory import FakeClock, KnowsEverybody, MemoryStore
from tests.fakes.tokens import ALICE, AUDIENCE, minted, signed
from tests.hostile.tokens import CASES, MAX_LIFETIME_S, Case

NOW_S = float(int(time.time()))
"""The real time: magic-admin reads the clock by itself."""

RULES = Rules(AUDIENCE, MAX_LIFETIME_S)


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
def directory() -> KnowsEverybody:
    return KnowsEverybody()


@pytest.fixture
def verifier(signatures: Counting, directory: KnowsEverybody) -> DidTokenVerifier:
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


@pytest.mark.parametrize("case", [case for case in CASES if not case.needs_signature], ids=every)
def test_inspect(case: Case) -> None:
    """What can be told without cryptography is, with a reason from the closed list."""
    token = case.forge(NOW_S, AUDIENCE, ALICE)
    with pytest.raises(InvalidToken) as refused:
        inspect(token, RULES, NOW_S)
    assert case.refusal is refused.type
    assert refused.value.reason in list(Fault)


@pytest.mark.parametrize("case", [case for case in CASES if case.needs_signature], ids=every)
def test_inspect_leaves_signatures_alone(case: Case) -> None:
    """A case that is said to need the signature check is not caught before it."""
    inspect(case.forge(NOW_S, AUDIENCE, ALICE), RULES, NOW_S)


@pytest.mark.parametrize("case", CASES, ids=every)
async def test_verify(
    case: Case, verifier: DidTokenVerifier, signatures: Counting, directory: KnowsEverybody
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
    ],
)
async def test_good_ones_pass(token: str, verifier: DidTokenVerifier) -> None:
    """The net is not so fine that a real token gets caught in it."""
    identity = await verifier.verify(token)
    assert ALICE.issuer == identity.user.issuer
