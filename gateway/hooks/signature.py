"""
Signatures of deliveries, by the scheme of Standard Webhooks (HMAC-SHA256, ``v1``).

A secret is ``whsec_`` and base64 of 24 to 64 random bytes. While one is replaced by another, each
delivery is signed by both, so that receivers may change at any time in between.
"""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

PREFIX = "whsec_"
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64


def key_of(secret: str) -> bytes:
    """Return the key of a secret. Raises `ValueError`, which does not show it."""
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(
            f"expected {PREFIX} and base64 of {MIN_KEY_BYTES} to {MAX_KEY_BYTES} random bytes"
        )
    return key


class Signer:
    """Signs deliveries with all secrets of an endpoint."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Raises `ValueError` for a secret that is none."""
        self._keys = [Webhook(key_of(secret)) for secret in secrets]

    def fields(self, event_id: str, now_s: float, body: bytes) -> dict[str, str]:
        """Return the header fields of one attempt, which receivers check against ``body``."""
        at = datetime.fromtimestamp(int(now_s), UTC)
        text = body.decode()
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now_s)),
            "webhook-signature": " ".join(key.sign(event_id, at, text) for key in self._keys),
        }
