"""
An identity that the app can verify: a JWT (RFC 7519) that the gateway signs.

Who reads an identity in a header field believes whoever can reach the app. Who verifies this
believes the holder of a key, whose public half is in the key set.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import digest
from typing import Final, NamedTuple

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.jwk import ECKey, OKPKey
from joserfc.jws import JWSRegistry

from gateway.core.identity import Identity
from gateway.sessions.seal import public_id

HEADER: Final = "X-Gateway-Assertion"
"""The usual field; always the gateway's own, whatever it is called in the config."""


class SigningKey(NamedTuple):
    """A private key of ours."""

    key: ECKey | OKPKey
    algorithm: str
    """``EdDSA`` or ``ES256``."""
    key_id: str
    """The thumbprint of its public half (RFC 7638)."""

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"  # tracebacks must not hold it


class AssertedRequest(NamedTuple):
    """What an assertion for a single request is bound to, as the app sees it."""

    method: str
    host: str
    """As the client sent it, and as it stands in ``X-Forwarded-Host``."""
    path: str
    query: str
    """Without the question mark."""


def signing_key(pem: str) -> SigningKey:
    """The private key in ``pem``: Ed25519 or P-256, without a password. Raises `ValueError`."""
    try:
        private = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):  # what the library says might show the value
        private = None
    if isinstance(private, Ed25519PrivateKey):
        return _known(OKPKey.import_key(private), "EdDSA")
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
        return _known(ECKey.import_key(private), "ES256")
    raise ValueError("expected a private key in PEM: Ed25519 or P-256, without a password")


def made_up_key(seed: bytes) -> SigningKey:
    """The key of development mode; the same for all processes that share ``seed``."""
    private = Ed25519PrivateKey.from_private_bytes(digest(seed, b"gateway: assertions", "sha256"))
    return _known(OKPKey.import_key(private), "EdDSA")


def _known(key: ECKey | OKPKey, algorithm: str) -> SigningKey:
    return SigningKey(key, algorithm, key.thumbprint())


def key_set(keys: Iterable[SigningKey]) -> bytes:
    """The public halves of ``keys`` as JSON (RFC 7517 section 5)."""
    public = [
        {
            **{name: key.key.as_dict(private=False)[name] for name in _members(key)},
            "use": "sig",
            "alg": key.algorithm,
            "kid": key.key_id,
        }
        for key in keys
    ]
    return orjson.dumps({"keys": public})


def _members(key: SigningKey) -> tuple[str, ...]:
    """All that a public key is; what is not named here cannot get out."""
    return ("kty", "crv", "x", "y") if isinstance(key.key, ECKey) else ("kty", "crv", "x")


def claims(
    identity: Identity, *, issuer: str, audience: str, now_s: float, lifetime_s: float
) -> dict[str, object]:
    """
    What is said of ``identity`` to ``audience`` for ``lifetime_s``, never beyond its own end.

    ``sid`` names the session without leading to it: it is neither cookie nor key.
    """
    issued_at_s = int(now_s)
    said: dict[str, object] = {
        "iss": issuer,
        "sub": identity.user.issuer,
        "aud": audience,
        "iat": issued_at_s,
        "exp": min(issued_at_s + int(lifetime_s), identity.expires_at_ms // 1000),
        "auth_method": identity.method,
    }
    if identity.roles is not None:
        said["roles"] = identity.roles
    if identity.user.email is not None:
        said["email"] = identity.user.email
    if identity.scopes:
        said["scope"] = " ".join(identity.scopes)  # RFC 8693 section 4.2
    if identity.session_key is not None:
        said["sid"] = public_id(identity.session_key)
    return said


def binding(asked: AssertedRequest, token_id: str) -> dict[str, object]:
    """The claims by which an assertion is good for one request."""
    return {
        "jti": token_id,
        "htm": asked.method,
        "host": asked.host,
        "path": asked.path,
        "qh": _base64url(sha256(asked.query.encode()).digest()).decode(),
    }


class AssertionSigner:
    """Signs with one key; the compact serialisation of RFC 7515 section 7.1."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key.key
        self._algorithm = JWSRegistry.algorithms[key.algorithm]
        header = {"alg": key.algorithm, "kid": key.key_id, "typ": "JWT"}
        self._beginning = _base64url(orjson.dumps(header)) + b"."

    def sign(self, said: Mapping[str, object]) -> bytes:
        """The JWT that says it."""
        message = self._beginning + _base64url(orjson.dumps(said))
        return message + b"." + _base64url(self._algorithm.sign(message, self._key))


def _base64url(octets: bytes) -> bytes:
    return urlsafe_b64encode(octets).rstrip(b"=")
