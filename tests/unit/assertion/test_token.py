"""What is signed, how, and with which key."""

from dataclasses import replace
from hashlib import sha256

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.assertion.token import (
    AssertedRequest,
    AssertionSigner,
    SigningKey,
    binding,
    claims,
    key_set,
    made_up_key,
    signing_key,
)
from gateway.core.identity import AuthMethod, User
from tests.fakes.ports import ISSUER, SESSION_IDENTITY, TOKEN_IDENTITY

NOW_S = 1_800_000_000.7
URL = "https://app.example.com"


def written(private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """As PEM."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


ED25519 = written(ed25519.Ed25519PrivateKey.generate())
P256 = written(ec.generate_private_key(ec.SECP256R1()))
RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(("pem", "algorithm"), [(ED25519, "EdDSA"), (P256, "ES256")])
def test_what_is_signed_can_be_verified(pem: str, algorithm: str) -> None:
    """By another library, with the published key; the header names it by its thumbprint."""
    key = signing_key(pem)
    token = AssertionSigner(key).sign({"sub": "x", "aud": "app"}).decode()
    (published,) = orjson.loads(key_set([key]))["keys"]
    public = jwt.PyJWK(published)
    assert {"sub": "x", "aud": "app"} == jwt.decode(
        token, public, algorithms=[algorithm], audience="app"
    )
    assert {"alg": algorithm, "kid": key.key_id, "typ": "JWT"} == jwt.get_unverified_header(token)
    assert key.key_id == published["kid"] == key.key.thumbprint()


@pytest.mark.parametrize(("pem", "more"), [(ED25519, set()), (P256, {"y"})])
def test_nothing_private_is_published(pem: str, more: set[str]) -> None:
    """The members of a public key, and no other."""
    (published,) = orjson.loads(key_set([signing_key(pem)]))["keys"]
    assert {"kty", "crv", "x", "use", "alg", "kid"} | more == set(published)
    assert "sig" == published["use"]


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "no key",
        ED25519.replace("PRIVATE", "PUBLIC"),
        RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        written(ec.generate_private_key(ec.SECP384R1())),
        ed25519.Ed25519PrivateKey.generate()
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
        .decode(),
    ],
    ids=["empty", "words", "public", "rsa", "p384", "password"],
)
def test_other_keys(pem: str) -> None:
    """Only the two kinds; what the library says of them is not repeated: it may show the key."""
    with pytest.raises(ValueError, match=r"^expected a private key in PEM") as refused:
        signing_key(pem)
    assert not pem or pem not in str(refused.value)


def test_a_key_is_not_shown() -> None:
    """Not in a traceback either."""
    key = signing_key(ED25519)
    assert f"SigningKey({key.key_id})" == repr(key)


def test_development_has_one_key_in_all_its_processes() -> None:
    """It follows from the seed, and from nothing else."""
    one, same, other = made_up_key(b"1" * 32), made_up_key(b"1" * 32), made_up_key(b"2" * 32)
    assert one.key_id == same.key_id != other.key_id


def said_of(identity: object = SESSION_IDENTITY, **changes: object) -> dict[str, object]:
    """The claims about somebody."""
    return claims(
        replace(SESSION_IDENTITY, **changes) if changes else identity,  # type: ignore[arg-type]
        issuer=URL,
        audience="app",
        now_s=NOW_S,
        lifetime_s=60.0,
    )


def test_claims() -> None:
    """Who, for whom, from when until when; the session by a name that leads to nothing."""
    said = said_of(roles=("admin", "staff"), scopes=("read", "write:all"))
    sid = said.pop("sid")
    assert said == {
        "iss": URL,
        "sub": ISSUER,
        "aud": "app",
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
        "email": "alice@example.com",
        "roles": ("admin", "staff"),
        "scope": "read write:all",
        "auth_method": AuthMethod.SESSION,
    }
    assert isinstance(sid, str)
    assert str(SESSION_IDENTITY.session_key) not in sid


def test_what_is_not_known_is_not_claimed() -> None:
    """No email, no session: no member."""
    said = said_of(replace(TOKEN_IDENTITY, user=User(ISSUER)))
    assert not {"email", "sid", "scope"} & said.keys()
    assert () == said["roles"]
    assert "roles" not in said_of(roles=None)


def test_no_assertion_outlives_what_it_is_about() -> None:
    """A session that ends in ten seconds is vouched for that long."""
    assert 1_800_000_010 == said_of(expires_at_ms=1_800_000_010_999)["exp"]


def test_a_request_is_named_by_its_parts() -> None:
    """The query by its hash, an absent one as an empty one."""
    asked = AssertedRequest("POST", "app.example.com", "/a%20b", "x=1&y=2")
    assert binding(asked, "id-1") == {
        "jti": "id-1",
        "htm": "POST",
        "host": "app.example.com",
        "path": "/a%20b",
        "qh": jwt.utils.base64url_encode(sha256(b"x=1&y=2").digest()).decode(),
    }


@given(st.emails() | st.text(max_size=64), st.lists(st.text(max_size=8), max_size=4))
def test_any_claim_is_one_clean_value(email: str, roles: list[str]) -> None:
    """Whatever Magic knows, the field has no character that could end it, and says just that."""
    signer = AssertionSigner(_KEY)
    try:
        token = signer.sign({"email": email, "roles": roles})
    except TypeError:  # lone surrogates, which `readable` has thrown out before
        return
    assert token.isascii()
    assert token.decode().replace(".", "").replace("-", "").replace("_", "").isalnum()
    body = jwt.utils.base64url_decode(token.split(b".")[1])
    assert {"email": email, "roles": roles} == orjson.loads(body)


_KEY: SigningKey = signing_key(ED25519)
