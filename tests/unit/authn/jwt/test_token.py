"""Decoding of JWTs, and the checks that need no cryptography."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.jwt.token import (
    MAX_JWT_CHARS,
    JwtFault,
    TrustedIssuer,
    inspect,
    issuer_of,
    parse,
)
from gateway.core.errors import ExpiredToken, InvalidToken
from gateway.core.identity import AuthMethod, Identity
from tests.fakes.jwts import ABSENT, AUDIENCE, ISSUER, claims, part, raw, signed

NOW_S = 1_800_000_000.0
RULES = TrustedIssuer(ISSUER, AUDIENCE, frozenset({"ES256", "RS256"}), max_lifetime_s=3600)


def read(token: str, rules: TrustedIssuer = RULES) -> Identity:
    """The identity of the subject of ``token``."""
    parsed = parse(token)
    return inspect(parsed, issuer_of(parsed, {rules.name: rules}), token, NOW_S)


def test_a_valid_token_gives_the_identity_of_its_subject() -> None:
    """With its times and its token id."""
    identity = read(signed(claims(NOW_S, jti="t-1", scope="b a b")))
    assert (f"{ISSUER}#job-7", None) == (identity.user.issuer, identity.user.email)
    assert (AuthMethod.JWT, "t-1", ("a", "b")) == (
        *(identity.method, identity.token_id),
        identity.scopes,
    )
    assert (NOW_S + 300) * 1000 == identity.expires_at_ms
    assert NOW_S * 1000 == identity.proven_at_ms


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        pytest.param({"iss": "https://evil.example"}, JwtFault.OTHER_ISSUER, id="other-issuer"),
        pytest.param({"iss": ISSUER + "/"}, JwtFault.OTHER_ISSUER, id="nearly-the-issuer"),
        pytest.param({"iss": [ISSUER]}, JwtFault.OTHER_ISSUER, id="issuer-in-a-list"),
        pytest.param({"iss": ABSENT}, JwtFault.OTHER_ISSUER, id="no-issuer"),
        pytest.param({"aud": "other"}, JwtFault.OTHER_AUDIENCE, id="other-audience"),
        pytest.param({"aud": ["other"]}, JwtFault.OTHER_AUDIENCE, id="other-audiences"),
        pytest.param({"aud": []}, JwtFault.OTHER_AUDIENCE, id="no-audiences"),
        pytest.param({"aud": ABSENT}, JwtFault.OTHER_AUDIENCE, id="no-audience"),
        pytest.param({"aud": {AUDIENCE: 1}}, JwtFault.OTHER_AUDIENCE, id="audience-is-an-object"),
        pytest.param({"exp": ABSENT}, JwtFault.BAD_INSTANT, id="no-end"),
        pytest.param({"exp": "1900000000"}, JwtFault.BAD_INSTANT, id="end-is-text"),
        pytest.param({"exp": True}, JwtFault.BAD_INSTANT, id="end-is-true"),
        pytest.param({"exp": 10**400}, JwtFault.BAD_INSTANT, id="end-is-enormous"),
        pytest.param({"exp": -1}, JwtFault.BAD_INSTANT, id="end-is-negative"),
        pytest.param({"exp": NOW_S + 3601}, JwtFault.LIVES_TOO_LONG, id="lives-too-long"),
        pytest.param({"iat": ABSENT}, JwtFault.BAD_INSTANT, id="no-beginning"),
        pytest.param({"iat": None}, JwtFault.BAD_INSTANT, id="beginning-is-null"),
        pytest.param({"iat": NOW_S + 61}, JwtFault.ISSUED_LATER, id="issued-later"),
        pytest.param({"nbf": NOW_S + 61}, JwtFault.NOT_YET_VALID, id="not-yet-valid"),
        pytest.param({"nbf": "now"}, JwtFault.BAD_INSTANT, id="nbf-is-text"),
        pytest.param({"sub": ABSENT}, JwtFault.BAD_SUBJECT, id="no-subject"),
        pytest.param({"sub": ""}, JwtFault.BAD_SUBJECT, id="empty-subject"),
        pytest.param({"sub": 7}, JwtFault.BAD_SUBJECT, id="subject-is-a-number"),
        pytest.param({"sub": "a" * 256}, JwtFault.BAD_SUBJECT, id="long-subject"),
        pytest.param({"sub": "a\r\nX: y"}, JwtFault.BAD_SUBJECT, id="subject-with-a-line-break"),
        pytest.param({"sub": "\ud800"}, JwtFault.BAD_SUBJECT, id="half-a-surrogate"),
    ],
)
def test_each_faulty_claim_has_its_reason(changes: dict[str, object], fault: JwtFault) -> None:
    """Each for its own reason."""
    with pytest.raises(InvalidToken, match=fault):
        read(signed(claims(NOW_S, **changes)))


PARTY = "https://app.example.com"


@pytest.mark.parametrize(
    ("audience", "changes", "fault"),
    [
        pytest.param("", {"aud": ABSENT, "azp": PARTY}, None, id="party-without-audience"),
        pytest.param(AUDIENCE, {"azp": PARTY}, None, id="both"),
        pytest.param("", {"azp": PARTY}, JwtFault.OTHER_AUDIENCE, id="audience-is-not-expected"),
        pytest.param("", {"aud": None, "azp": PARTY}, JwtFault.OTHER_AUDIENCE, id="null-audience"),
        pytest.param("", {"aud": "", "azp": PARTY}, JwtFault.OTHER_AUDIENCE, id="empty-audience"),
        pytest.param(
            AUDIENCE, {"aud": "x", "azp": PARTY}, JwtFault.OTHER_AUDIENCE, id="other-audience"
        ),
        pytest.param(AUDIENCE, {}, JwtFault.OTHER_PARTY, id="no-party"),
        pytest.param(AUDIENCE, {"azp": PARTY + "/"}, JwtFault.OTHER_PARTY, id="other-party"),
        pytest.param(AUDIENCE, {"azp": [PARTY]}, JwtFault.OTHER_PARTY, id="party-in-a-list"),
        pytest.param(AUDIENCE, {"azp": None}, JwtFault.OTHER_PARTY, id="party-is-null"),
    ],
)
def test_the_party_that_a_token_was_issued_to(
    audience: str, changes: dict[str, object], fault: JwtFault | None
) -> None:
    """It must be listed where the config lists any; the audience is compared all the same."""
    rules = RULES._replace(audience=audience, parties=frozenset({PARTY, "https://b.example"}))
    token = signed(claims(NOW_S, **changes))
    if fault is None:
        assert f"{ISSUER}#job-7" == read(token, rules).user.issuer
    else:
        with pytest.raises(InvalidToken, match=fault):
            read(token, rules)


@pytest.mark.parametrize("exp", [NOW_S, NOW_S - 1, 0, 0.5])
def test_an_expired_token_is_refused_as_expired(exp: float) -> None:
    """Expiry has no tolerance."""
    with pytest.raises(ExpiredToken):
        read(signed(claims(NOW_S, exp=exp, iat=0)))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": ["other", AUDIENCE]}, id="one-of-several-audiences"),
        pytest.param({"iat": NOW_S + 60, "nbf": NOW_S + 60}, id="a-clock-a-little-ahead"),
        pytest.param({"exp": NOW_S + 0.5}, id="half-a-second-left"),
        pytest.param({"exp": NOW_S + 3600}, id="as-long-as-may-be"),
        pytest.param({"x": {"y": [1, 2]}}, id="more-claims"),
    ],
)
def test_variants_of_valid_claims_pass(changes: dict[str, object]) -> None:
    """Honest issuers differ in these."""
    assert NOW_S * 1000 >= read(signed(claims(NOW_S, **changes))).proven_at_ms


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        pytest.param({"alg": "none"}, JwtFault.OTHER_ALGORITHM, id="none"),
        pytest.param({"alg": "HS256"}, JwtFault.OTHER_ALGORITHM, id="public-key-as-secret"),
        pytest.param({"alg": "ES384"}, JwtFault.OTHER_ALGORITHM, id="not-configured"),
        pytest.param({"alg": "es256"}, JwtFault.OTHER_ALGORITHM, id="other-case"),
        pytest.param({"alg": ["ES256"]}, JwtFault.OTHER_ALGORITHM, id="alg-is-a-list"),
        pytest.param({"alg": ABSENT}, JwtFault.OTHER_ALGORITHM, id="no-alg"),
        pytest.param({"typ": "dpop+jwt"}, JwtFault.BAD_TYPE, id="another-type"),
        pytest.param({"typ": "logout+jwt"}, JwtFault.BAD_TYPE, id="logout-token"),
        pytest.param({"typ": None}, JwtFault.BAD_TYPE, id="type-is-null"),
        pytest.param({"kid": 7}, JwtFault.BAD_KEY_ID, id="kid-is-a-number"),
        pytest.param({"kid": "../../etc/passwd\n"}, JwtFault.BAD_KEY_ID, id="kid-with-line-break"),
        pytest.param({"jwk": {"kty": "EC"}}, JwtFault.BAD_HEADER, id="brings-its-key"),
        pytest.param(
            {"jku": "https://evil.example"}, JwtFault.BAD_HEADER, id="says-where-keys-are"
        ),
        pytest.param({"x5u": "https://evil.example"}, JwtFault.BAD_HEADER, id="or-certificates"),
        pytest.param({"x5c": []}, JwtFault.BAD_HEADER, id="brings-certificates"),
        pytest.param({"crit": ["exp"]}, JwtFault.BAD_HEADER, id="crit"),
        pytest.param({"b64": False}, JwtFault.BAD_HEADER, id="b64"),
        pytest.param({"zip": "DEF"}, JwtFault.BAD_HEADER, id="zip"),
    ],
)
def test_headers_that_change_the_verification_are_refused(
    header: dict[str, Any], fault: JwtFault
) -> None:
    """RFC 8725: the token decides nothing about how it is checked."""
    with pytest.raises(InvalidToken, match=fault):
        read(signed(claims(NOW_S), **header))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+JWT", ABSENT])
def test_types_jwt_and_access_token_pass(typ: object) -> None:
    """JWTs and access tokens."""
    assert f"{ISSUER}#job-7" == read(signed(claims(NOW_S), typ=typ)).user.issuer


def spelled(payload: bytes, head: bytes = b'{"alg":"ES256"}') -> str:
    return raw(head, payload)


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        pytest.param("", JwtFault.NOT_THREE_PARTS, id="empty"),
        pytest.param("a.b", JwtFault.NOT_THREE_PARTS, id="two-parts"),
        pytest.param("e30.e30.e30.e30.e30", JwtFault.NOT_THREE_PARTS, id="encrypted"),
        pytest.param("..", JwtFault.NOT_THREE_PARTS, id="nothing-between"),
        pytest.param("e30.e30.", JwtFault.NOT_THREE_PARTS, id="no-signature"),
        pytest.param("e30=.e30.e30", JwtFault.NOT_THREE_PARTS, id="padding"),
        pytest.param("e31.e30.e30", JwtFault.NOT_THREE_PARTS, id="spare-bits"),
        pytest.param("e30.e30.a", JwtFault.NOT_THREE_PARTS, id="a-bit-too-little"),
        pytest.param("e30.e+0.e30", JwtFault.NOT_THREE_PARTS, id="the-other-alphabet"),
        pytest.param("e30.é30.e30", JwtFault.NOT_THREE_PARTS, id="not-ascii"),
        pytest.param("a" * (MAX_JWT_CHARS + 1), JwtFault.TOO_LONG, id="too-long"),
        pytest.param(spelled(b"[" * 300), JwtFault.TOO_DEEP, id="too-deep"),
        pytest.param(spelled(b"{"), JwtFault.NOT_JSON, id="no-json"),
        pytest.param(spelled(b"\xff"), JwtFault.NOT_JSON, id="no-utf-8"),
        pytest.param(spelled(b'{"exp":NaN}'), JwtFault.NOT_JSON, id="not-a-number"),
        pytest.param(spelled(b'{"iss":"a","iss":"b"}'), JwtFault.NOT_JSON, id="repeated-claim"),
        pytest.param(spelled(b'{"a":{"b":1,"b":2}}'), JwtFault.NOT_JSON, id="repeated-inside"),
        pytest.param(spelled(b'{"exp":' + b"9" * 5000 + b"}"), JwtFault.NOT_JSON, id="long-number"),
        pytest.param(
            spelled(b"{}", b'{"alg":"ES256","alg":"none"}'), JwtFault.NOT_JSON, id="repeated-alg"
        ),
        pytest.param(spelled(b"[]"), JwtFault.NOT_AN_OBJECT, id="payload-is-a-list"),
        pytest.param(spelled(b"{}", b'"ES256"'), JwtFault.NOT_AN_OBJECT, id="header-is-text"),
    ],
)
def test_malformed_tokens_have_their_reasons(token: str, fault: JwtFault) -> None:
    """Nothing is repaired."""
    with pytest.raises(InvalidToken, match=fault):
        read(token)


@given(st.text(max_size=200))
def test_any_text_is_refused_as_invalid(token: str) -> None:
    """Nothing else is raised."""
    with pytest.raises(InvalidToken):
        read(token)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit"]), st.text() | st.integers()))
def test_any_header_is_refused_as_invalid(header: dict[str, object]) -> None:
    """Nothing else is raised."""
    token = f"{part(json.dumps(header).encode())}.{part(b'{}')}.e30"
    with pytest.raises(InvalidToken):
        read(token)


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("job-7", "job-7"),
        ("auth0|5f7c", "auth0|5f7c"),
        ("a@b.example", "a@b.example"),
        ("a#b", "a%23b"),
        ("a b", "a%20b"),
        ("é", "%C3%A9"),
        ("%23", "%2523"),
        ("did:ethr:0x" + "ab" * 20, "did:ethr:0x" + "ab" * 20),
    ],
)
def test_subjects_are_encoded(subject: str, expected: str) -> None:
    """The first ``#`` ends the issuer's part."""
    assert f"{ISSUER}#{expected}" == read(signed(claims(NOW_S, sub=subject))).user.issuer


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_two_subjects_have_two_names(one: str, other: str) -> None:
    """None is the name of a user or a service."""
    names = []
    for subject in (one, other):
        try:
            names.append(read(signed(claims(NOW_S, sub=subject))).user.issuer)
        except InvalidToken:
            return
    assert (one == other) == (names[0] == names[1])
    assert all(name.partition("#")[0] == ISSUER and name.isprintable() for name in names)


def test_the_config_may_shorten_the_name_of_an_issuer() -> None:
    """The prefix replaces ``iss`` in names of subjects."""
    rules = RULES._replace(prefix="ci")
    assert "ci#job-7" == read(signed(claims(NOW_S)), rules).user.issuer


# --- what is taken over ------------------------------------------------------------------------

TAKING = RULES._replace(email_claim="email", roles_claim="groups", scopes_claim="scp")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({}, None, id="absent"),
        pytest.param({"email": "a@b.example"}, "a@b.example", id="said"),
        pytest.param({"email": "a@b.example", "email_verified": True}, "a@b.example", id="true"),
        pytest.param({"email": "a@b.example", "email_verified": False}, None, id="unverified"),
        pytest.param({"email": "a@b.example", "email_verified": "true"}, None, id="as-text"),
        pytest.param({"email": "a\r\nb"}, None, id="not-readable"),
        pytest.param({"email": ["a@b.example"]}, None, id="a-list"),
    ],
)
def test_the_email_is_read_from_the_configured_claim(
    said: dict[str, object], expected: str | None
) -> None:
    """One that the issuer calls unverified is ignored."""
    assert expected == read(signed(claims(NOW_S, **said)), TAKING).user.email
    assert read(signed(claims(NOW_S, **said))).user.email is None


@pytest.mark.parametrize(
    ("said", "roles", "scopes"),
    [
        pytest.param({}, (), (), id="absent"),
        pytest.param({"groups": ["b", "a", "b"], "scp": ["y"]}, ("a", "b"), ("y",), id="lists"),
        pytest.param({"groups": "a", "scp": "y x"}, ("a",), ("x", "y"), id="texts"),
        pytest.param({"groups": ["a,b", 7], "scp": ["a b", None, "c"]}, (), ("c",), id="odd"),
        pytest.param({"groups": {"a": 1}, "scp": {"a": 1}}, (), (), id="objects"),
    ],
)  # fmt: skip
def test_roles_and_scopes_are_read_from_the_configured_claims(
    said: dict[str, object], roles: tuple[str, ...], scopes: tuple[str, ...]
) -> None:
    """Malformed ones are left out."""
    identity = read(signed(claims(NOW_S, **said)), TAKING)
    assert (roles, scopes) == (identity.roles, identity.scopes)
    none = read(signed(claims(NOW_S, **said)), RULES._replace(scopes_claim=""))
    assert ((), ()) == (none.roles, none.scopes)


def test_a_token_without_jti_gets_a_hash_as_id() -> None:
    """The token cannot be computed from it."""
    token = signed(claims(NOW_S, jti=7))
    assert read(token).token_id == read(token).token_id
    assert 32 == len(read(token).token_id)
