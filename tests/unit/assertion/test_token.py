"""Assertions: keys, claims and signatures."""

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
    """Write the key as PEM."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


ED25519 = written(ed25519.Ed25519PrivateKey.generate())
P256 = written(ec.generate_private_key(ec.SECP256R1()))
RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("pem", "algorithm"), [(ED25519, "EdDSA"), (P256, "ES256")], ids=["ed25519", "p256"]
)
def test_another_library_verifies_the_signature(pem: str, algorithm: str) -> None:
    """With the published key; the header names it by its thumbprint."""
    key = signing_key(pem)
    token = AssertionSigner(key).sign({"sub": "x", "aud": "app"}).decode()
    (published,) = orjson.loads(key_set([key]))["keys"]
    public = jwt.PyJWK(published)
    assert {"sub": "x", "aud": "app"} == jwt.decode(
        token, public, algorithms=[algorithm], audience="app"
    )
    assert {"alg": algorithm, "kid": key.key_id, "typ": "JWT"} == jwt.get_unverified_header(token)
    assert key.key_id == published["kid"] == key.key.thumbprint()


@pytest.mark.parametrize(
    ("pem", "more"), [(ED25519, set()), (P256, {"y"})], ids=["ed25519", "p256"]
)
def test_no_private_member_is_published(pem: str, more: set[str]) -> None:
    """The key set has the members of public keys, and no other."""
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
def test_other_keys_are_refused(pem: str) -> None:
    """The library's message is not repeated, as it may show the key."""
    with pytest.raises(ValueError, match=r"^expected a private key in PEM") as refused:
        signing_key(pem)
    assert not pem or pem not in str(refused.value)


def test_the_repr_does_not_show_the_key() -> None:
    """A traceback does not show it either."""
    key = signing_key(ED25519)
    assert f"SigningKey({key.key_id})" == repr(key)


def test_the_development_key_follows_from_the_seed() -> None:
    """All processes that share the seed have the same key."""
    one, same, other = made_up_key(b"1" * 32), made_up_key(b"1" * 32), made_up_key(b"2" * 32)
    assert one.key_id == same.key_id != other.key_id


def said_of(identity: object = SESSION_IDENTITY, **changes: object) -> dict[str, object]:
    """Return the claims about an identity."""
    return claims(
        replace(SESSION_IDENTITY, **changes) if changes else identity,  # type: ignore[arg-type]
        issuer=URL,
        audience="app",
        now_s=NOW_S,
        lifetime_s=60.0,
    )


def test_claims() -> None:
    """Subject, audience, times, and a session id that is neither cookie nor key."""
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


def test_absent_values_are_not_claimed() -> None:
    """Without email or session there is no such member."""
    said = said_of(replace(TOKEN_IDENTITY, user=User(ISSUER)))
    assert not {"email", "sid", "scope"} & said.keys()
    assert () == said["roles"]
    assert "roles" not in said_of(roles=None)
    assert not {"permissions"} & {*said, *said_of(permissions=None)}


def test_permissions_are_claimed() -> None:
    """As a list of words."""
    said = said_of(permissions=("billing:read", "billing:write"))
    assert ("billing:read", "billing:write") == said["permissions"]


def test_no_assertion_outlives_its_identity() -> None:
    """A session that ends in ten seconds gets an assertion of ten seconds."""
    assert 1_800_000_010 == said_of(expires_at_ms=1_800_000_010_999)["exp"]


def test_the_claims_of_a_bound_request() -> None:
    """The query is a hash; an absent one is hashed as an empty one."""
    asked = AssertedRequest("POST", "app.example.com", "/a%20b", "x=1&y=2")
    assert binding(asked, "id-1") == {
        "jti": "id-1",
        "htm": "POST",
        "host": "app.example.com",
        "path": "/a%20b",
        "qh": jwt.utils.base64url_encode(sha256(b"x=1&y=2").digest()).decode(),
    }


@given(st.emails() | st.text(max_size=64), st.lists(st.text(max_size=8), max_size=4))
def test_any_claim_is_one_field_value(email: str, roles: list[str]) -> None:
    """Whatever Magic knows, no character ends the field, and the claim can be read back."""
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
