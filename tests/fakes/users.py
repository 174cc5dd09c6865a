"""Records of users as earlier versions wrote them."""

import hmac
from base64 import urlsafe_b64encode
from typing import Any

import orjson

from gateway.core.identity import User

_TEXTS = ("email", "public_address", "phone", "oauth_provider", "username")
_WALLET_TEXTS = ("network", "public_address", "wallet_type")


def record_before(user: User, fetched_at_ms: int, server_key: bytes) -> bytes:
    """``user:{issuer}`` as the previous version wrote it: flat, under names of our own."""
    wallets = [{name: getattr(each, name) for name in _WALLET_TEXTS} for each in user.wallets]
    members: dict[str, Any] = {
        "issuer": user.issuer,
        **{name: getattr(user, name) for name in _TEXTS},
        "wallets": wallets,
        "fetched_at_ms": fetched_at_ms,
    }
    key = hmac.digest(server_key, b"gateway: metadata of users", "sha256")
    code = urlsafe_b64encode(hmac.digest(key, orjson.dumps(members), "sha256"))
    return orjson.dumps({**members, "seal": code.decode().rstrip("=")})
