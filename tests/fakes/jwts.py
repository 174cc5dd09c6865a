"""Made-up issuers of JWTs: real keys, real signatures, and tokens that no issuer would make."""

import json
from base64 import urlsafe_b64encode
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.authn.jwt.key_set import Key

ISSUER, AUDIENCE = "https://id.example.com", "gateway"

RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec", "alg": "ES256"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
OTHER = ECKey.generate_key("P-256", {"kid": "ec"})
"""Of another issuer, which gave it the same id."""

ABSENT = object()
"""As a value: leaves the member out."""


def claims(now_s: float, **changes: object) -> dict[str, object]:
    """What a good token says, with ``changes``."""
    said: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "job-7",
        "iat": int(now_s),
        "exp": int(now_s) + 300,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not ABSENT}


def part(text: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(
    said: dict[str, object] | bytes, key: Key = EC, algorithm: str = "ES256", **header: object
) -> str:
    """A token; ``header`` changes its header."""
    head: dict[str, object] = {"typ": "JWT", "alg": algorithm, "kid": key.get("kid"), **header}
    head = {name: value for name, value in head.items() if value is not ABSENT}
    return raw(json.dumps(head).encode(), said, key, algorithm)


def raw(
    head: bytes, said: dict[str, object] | bytes, key: Key = EC, algorithm: str = "ES256"
) -> str:
    """A token whose header is spelled as it is given."""
    payload = said if isinstance(said, bytes) else json.dumps(said).encode()
    start = f"{part(head)}.{part(payload)}"
    signature = JWSRegistry.algorithms[algorithm].sign(start.encode(), key)
    return f"{start}.{part(signature)}"


def key_set(*keys: Key, **more: Any) -> bytes:
    """What an issuer publishes."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys], **more}).encode()
