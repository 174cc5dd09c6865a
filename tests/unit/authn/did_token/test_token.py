"""Decoding and checks of DID tokens. The crafted ones are in tests/hostile/tokens.py."""

import base64
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.authn.did_token.mint import encode
from gateway.authn.did_token.token import (
    MAX_TOKEN_CHARS,
    TokenClaim,
    TokenFault,
    TokenRules,
    inspect,
)
from gateway.core.errors import ExpiredToken, InvalidToken
from tests.fakes.tokens import ALICE, AUDIENCE, claim, compact, packed, signed

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0
RULES = TokenRules(AUDIENCE, DAY_S)
PROOF = "0x" + "1" * 128 + "1b"


def seen(token: str, now_s: float = NOW_S, rules: TokenRules = RULES) -> TokenClaim:
    return inspect(token, rules, now_s)


def test_a_valid_token_gives_its_claim() -> None:
    """Issuer, audience, id and times are returned."""
    assert TokenClaim(
        issuer=ALICE.issuer,
        token_id="0b6ff1d3-6c5a-4d6f-8f3e-0d2f8a3f6b1e",
        issued_at_s=1_800_000_000,
        expires_at_s=1_800_000_900,
        audience=AUDIENCE,
    ) == seen(signed(NOW_S))


@pytest.mark.parametrize("separator", [",", ", "])
def test_both_json_spellings_of_the_pair_pass(separator: str) -> None:
    """Browsers write no space after the comma, Python's json does."""
    text = compact(claim(NOW_S))
    pair = json.dumps([ALICE.sign(text), text], separators=(separator, ":"))
    assert ALICE.issuer == seen(packed(pair)).issuer


@pytest.mark.parametrize(
    ("after_s", "fault"),
    [
        pytest.param(-300.0, None, id="our-clock-is-behind-by-the-skew"),
        pytest.param(-300.5, TokenFault.NOT_YET_VALID, id="by-more"),
        pytest.param(0.0, None, id="at-once"),
        pytest.param(899.9, None, id="just-in-time"),
        pytest.param(900.0, TokenFault.EXPIRED, id="at-its-end"),
        pytest.param(1e9, TokenFault.EXPIRED, id="long-after"),
    ],
)
def test_a_token_is_valid_from_nbf_to_ext(after_s: float, fault: TokenFault | None) -> None:
    """The tolerance applies to nbf; ext itself is too late."""
    token = signed(NOW_S)
    if fault is None:
        assert seen(token, NOW_S + after_s)
        return
    with pytest.raises(InvalidToken) as refused:
        seen(token, NOW_S + after_s)
    assert fault == refused.value.reason
    assert (fault is TokenFault.EXPIRED) == isinstance(refused.value, ExpiredToken)


@pytest.mark.parametrize("skew_s", [1.0, 300.0, 2.5])
@pytest.mark.parametrize("name", ["iat", "nbf"])
@pytest.mark.parametrize(
    ("beyond_s", "passes"),
    [
        pytest.param(-1.0, True, id="a-second-within"),
        pytest.param(0.0, True, id="at-the-edge"),
        pytest.param(1.0, False, id="a-second-beyond"),
    ],
)
def test_iat_and_nbf_may_be_ahead_by_the_configured_skew(
    skew_s: float, name: str, beyond_s: float, *, passes: bool
) -> None:
    """One second more is refused."""
    times: dict[str, object] = {name: int(NOW_S) + 600, "ext": int(NOW_S) + 9000}
    token = signed(NOW_S, ALICE, **times)
    now_s = NOW_S + 600 - skew_s - beyond_s
    rules = RULES._replace(clock_skew_s=skew_s)
    if passes:
        assert ALICE.issuer == seen(token, now_s, rules).issuer
        return
    with pytest.raises(InvalidToken) as refused:
        seen(token, now_s, rules)
    assert refused.value.reason in {TokenFault.NOT_YET_VALID, TokenFault.ISSUED_LATER}


@pytest.mark.parametrize("skew_s", [1.0, 300.0, 3600.0])
def test_ext_has_no_tolerance(skew_s: float) -> None:
    """No clock skew makes a token valid for longer than it says."""
    rules = RULES._replace(clock_skew_s=skew_s)
    assert ALICE.issuer == seen(signed(NOW_S), NOW_S + 899, rules).issuer
    with pytest.raises(ExpiredToken):
        seen(signed(NOW_S), NOW_S + 900, rules)


def test_different_rules_have_different_epochs() -> None:
    """The encoding of the rules is unambiguous."""
    rules = [
        RULES,
        RULES._replace(audience=AUDIENCE + "1"),
        RULES._replace(max_lifetime_s=1.0),
        RULES._replace(clock_skew_s=1.0),
        TokenRules(f'{AUDIENCE}",1', DAY_S),
        TokenRules("", 11.0, 1.0),
        TokenRules("", 1.0, 11.0),
    ]
    assert len({each.epoch() for each in rules}) == len(rules)
    assert {len(each.epoch()) for each in rules} == {32}
    assert RULES.epoch() == TokenRules(AUDIENCE, DAY_S).epoch()


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        pytest.param("A" * (MAX_TOKEN_CHARS + 4), TokenFault.TOO_LONG, id="long"),
        pytest.param("A", TokenFault.NOT_BASE64, id="no-base64"),
        pytest.param("AB==", TokenFault.NOT_BASE64, id="trailing-bits"),
        pytest.param(packed("[" * 65), TokenFault.TOO_DEEP, id="deep"),
        pytest.param(packed("["), TokenFault.NOT_JSON, id="no-json"),
        pytest.param(packed("[1,2]"), TokenFault.NOT_A_PAIR, id="no-pair"),
        pytest.param(packed('["a","b"]'), TokenFault.BAD_PROOF, id="no-proof"),
        pytest.param(
            encode("0x" + "f" * 128 + "1b", "{}"), TokenFault.BAD_PROOF, id="the-higher-s"
        ),
        pytest.param(packed(f'["{PROOF}" ,"x"]'), TokenFault.NOT_CANONICAL, id="spaced"),
        pytest.param(encode(PROOF, "{"), TokenFault.NOT_JSON, id="no-json-claim"),
        pytest.param(encode(PROOF, "[]"), TokenFault.NOT_A_CLAIM, id="no-claim"),
        pytest.param(encode(PROOF, "{ }"), TokenFault.NOT_CANONICAL, id="spaced-claim"),
        pytest.param(encode(PROOF, "{}"), TokenFault.BAD_ISSUER, id="no-issuer"),
        pytest.param(signed(NOW_S, iat=True), TokenFault.BAD_INSTANT, id="no-instant"),
        pytest.param(signed(NOW_S, aud="x"), TokenFault.OTHER_AUDIENCE, id="other-audience"),
        pytest.param(signed(NOW_S, tid=""), TokenFault.BAD_ID, id="no-id"),
        pytest.param(signed(NOW_S, sub=1), TokenFault.BAD_SUBJECT, id="no-subject"),
        pytest.param(signed(NOW_S, ext=2**53), TokenFault.LIVES_TOO_LONG, id="long-lived"),
        pytest.param(signed(NOW_S, iat=int(NOW_S) + 301), TokenFault.ISSUED_LATER, id="from-later"),
        pytest.param(signed(NOW_S, nbf=int(NOW_S) + 301), TokenFault.NOT_YET_VALID, id="not-yet"),
    ],
)  # fmt: skip
def test_each_fault_has_its_reason(token: str, fault: TokenFault) -> None:
    """The log names the check that failed."""
    with pytest.raises(InvalidToken) as refused:
        seen(token)
    assert fault == refused.value.reason


def test_refusals_hold_no_part_of_the_token() -> None:
    """A refusal can be logged with its context."""
    with pytest.raises(InvalidToken) as refused:
        seen(packed("secret"))
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
HOSTILE_CLAIMS = st.fixed_dictionaries(
    {
        "iss": st.just(ALICE.issuer) | JSON,
        "iat": st.just(int(NOW_S)) | JSON,
        "nbf": st.just(int(NOW_S)) | JSON,
        "ext": st.just(int(NOW_S) + 900) | JSON,
        "aud": st.just(AUDIENCE) | JSON,
        "tid": st.just("tid") | JSON,
        "sub": st.just("sub") | JSON,
    },
    optional={"add": JSON, "more": JSON},
)


def tolerated(token: str) -> TokenClaim | None:
    """The claim; None for either refusal. Anything else fails the test."""
    try:
        return seen(token)
    except InvalidToken as error:
        refused = error
    assert refused.reason in list(TokenFault)
    return None


@given(st.text())
@example("\udcff")
@example("[" * 100_000)
def test_any_text_is_refused_as_invalid(token: str) -> None:
    """Nothing else is raised."""
    assert tolerated(token) is None


@given(st.binary())
def test_any_bytes_in_base64_are_refused_as_invalid(data: bytes) -> None:
    """Nothing else is raised."""
    assert tolerated(base64.b64encode(data).decode()) is None


@given(JSON, JSON)
def test_any_json_pair_is_refused_as_invalid(proof: object, said: object) -> None:
    """Nothing else is raised."""
    assert tolerated(packed(compact([proof, said]))) is None


@given(HOSTILE_CLAIMS)
def test_any_claim_that_passes_has_sound_types(said: dict[str, object]) -> None:
    """All others are refused."""
    found = tolerated(encode(PROOF, compact(said)))
    if found is not None:
        assert ALICE.issuer == found.issuer
        assert type(said["iat"]) is type(said["nbf"]) is type(said["ext"]) is int
        assert isinstance(said["sub"], str)
        assert found.token_id.isascii()
        assert found.token_id.isprintable()


@given(st.data())
def test_a_token_has_one_spelling(data: st.DataObject) -> None:
    """Any change of its text makes it invalid, or another token."""
    token = signed(NOW_S)
    at = data.draw(st.integers(0, len(token)))
    inserted = data.draw(st.sampled_from(["", "A", "=", " ", "\n", "-", "!"]))
    dropped = data.draw(st.integers(0, 4))
    changed = token[:at] + inserted + token[at + dropped :]
    found = tolerated(changed)
    if found is not None and changed != token:
        decoded = [base64.b64decode(text) for text in (changed, token)]
        assert decoded[0] != decoded[1]
