"""
Identity assertions that an app can verify: JWTs (RFC 7519) that the gateway signs.

An app that reads plain header fields trusts every machine that can reach it. An app that verifies
an assertion trusts the holder of a key alone. The public half of the key is in the key set.
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
"""The default field; clients can never send it, even where the config names another."""


class SigningKey(NamedTuple):
    """A private key of the gateway."""

    key: ECKey | OKPKey
    algorithm: str
    """``EdDSA`` or ``ES256``."""
    key_id: str
    """The thumbprint of its public half (RFC 7638)."""

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"  # tracebacks must not show the key


class AssertedRequest(NamedTuple):
    """The parts of a request that its assertion is bound to, as the app sees them."""

    method: str
    host: str
    """As the client sent it; ``X-Forwarded-Host`` holds the same."""
    path: str
    query: str
    """Without the question mark."""


def signing_key(pem: str) -> SigningKey:
    """Load an Ed25519 or P-256 key from ``pem``, without a password. Raises `ValueError`."""
    try:
        private = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):  # the library's message might show the value
        private = None
    if isinstance(private, Ed25519PrivateKey):
        return _with_key_id(OKPKey.import_key(private), "EdDSA")
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
        return _with_key_id(ECKey.import_key(private), "ES256")
    raise ValueError("expected a private key in PEM: Ed25519 or P-256, without a password")


def made_up_key(seed: bytes) -> SigningKey:
    """Derive the key of development mode; all processes that share ``seed`` have the same."""
    private = Ed25519PrivateKey.from_private_bytes(digest(seed, b"gateway: assertions", "sha256"))
    return _with_key_id(OKPKey.import_key(private), "EdDSA")


def _with_key_id(key: ECKey | OKPKey, algorithm: str) -> SigningKey:
    return SigningKey(key, algorithm, key.thumbprint())


def key_set(keys: Iterable[SigningKey]) -> bytes:
    """Write the public halves of ``keys`` as JSON (RFC 7517 section 5)."""
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
    """Name the members of a public key; no other member is published."""
    return ("kty", "crv", "x", "y") if isinstance(key.key, ECKey) else ("kty", "crv", "x")


def claims(
    identity: Identity, *, issuer: str, audience: str, now_s: float, lifetime_s: float
) -> dict[str, object]:
    """
    Return the claims about ``identity`` for ``audience``.

    They expire after ``lifetime_s``, or with the identity. ``sid`` identifies the session, but is
    neither its cookie nor its key.
    """
    issued_at_s = int(now_s)
    claimed: dict[str, object] = {
        "iss": issuer,
        "sub": identity.user.issuer,
        "aud": audience,
        "iat": issued_at_s,
        "exp": min(issued_at_s + int(lifetime_s), identity.expires_at_ms // 1000),
        "auth_method": identity.method,
    }
    if identity.roles is not None:
        claimed["roles"] = identity.roles
    if identity.permissions:
        claimed["permissions"] = identity.permissions
    if identity.user.email is not None:
        claimed["email"] = identity.user.email
    if identity.scopes:
        claimed["scope"] = " ".join(identity.scopes)  # RFC 8693 section 4.2
    if identity.session_key is not None:
        claimed["sid"] = public_id(identity.session_key)
    return claimed


def binding(request: AssertedRequest, token_id: str) -> dict[str, object]:
    """Return the claims that bind an assertion to one request."""
    return {
        "jti": token_id,
        "htm": request.method,
        "host": request.host,
        "path": request.path,
        "qh": _base64url(sha256(request.query.encode()).digest()).decode(),
    }


class AssertionSigner:
    """Signs claims with one key, in the compact serialisation of RFC 7515 section 7.1."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key.key
        self._algorithm = JWSRegistry.algorithms[key.algorithm]
        header = {"alg": key.algorithm, "kid": key.key_id, "typ": "JWT"}
        self._header = _base64url(orjson.dumps(header)) + b"."

    def sign(self, claimed: Mapping[str, object]) -> bytes:
        """Return the JWT that holds the claims."""
        message = self._header + _base64url(orjson.dumps(claimed))
        return message + b"." + _base64url(self._algorithm.sign(message, self._key))


def _base64url(octets: bytes) -> bytes:
    return urlsafe_b64encode(octets).rstrip(b"=")
