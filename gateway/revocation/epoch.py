"""
Revocation epochs: all proofs that an issuer made up to its epoch are revoked.

An epoch is a Unix time in milliseconds. The times of proofs come from tokens, whose ``iat`` counts
whole seconds: a token of 12:00:00.9 says 12:00:00. So all proofs of the second of the epoch are
revoked, even later ones; otherwise an earlier one could pass. Sign-ins are valid again from the
next full second on.
"""

from gateway.core.identity import AuthMethod, Identity, RevokedBy
from gateway.core.issuer import CERTIFICATE

KEPT_BEYOND_S = 86_400.0
"""
How much longer an epoch is kept than the longest-lived token.

Allows for clocks that differ, and for gateways whose config allows longer lifetimes.
"""


_CERTIFICATE_KEPT_S = 100 * 365.25 * 86_400
"""Certificates live for years: their epochs are kept for longer than any of them."""


def kept_s(issuer: str, token_kept_s: float) -> float:
    """Return how long to keep an epoch: ``token_kept_s``, but longer for certificates."""
    return _CERTIFICATE_KEPT_S if issuer.startswith(CERTIFICATE) else token_kept_s


def subject_of(identity: Identity) -> str | None:
    """
    Return the name whose epoch revokes the credential of ``identity``; None where none can.

    An API key may outlive its owner's epoch, so it is revoked under its own name.
    """
    if identity.method.revoked_by is RevokedBy.ISSUER:
        return identity.user.issuer
    if identity.method.revoked_by is RevokedBy.CREDENTIAL:
        return credential_subject(identity.method, identity.token_id)
    return None


def credential_subject(method: AuthMethod, token_id: str) -> str:
    """Return the name of one credential for revocation; no issuer has such a name."""
    return f"{method}:{token_id}"


def api_key_subject(key_id: str) -> str:
    """Return the name of an API key for revocation; no issuer has such a name."""
    return credential_subject(AuthMethod.API_KEY, key_id)


def key_of(issuer: str) -> str:
    """Return the key of the epoch in the store."""
    return f"revoked:{issuer}"


def read_epoch_ms(record: bytes | None) -> int | None:
    """Parse a stored epoch; None where there is none. Raises ValueError."""
    if record is None:
        return None
    if not (record.isdigit() and len(record) < 20):  # noqa: PLR2004 - as many digits as an int64
        raise ValueError("no epoch")
    return int(record)


def is_revoked(proven_at_ms: int, epoch_ms: int | None) -> bool:
    """Whether a proof of ``proven_at_ms`` is revoked."""
    return epoch_ms is not None and proven_at_ms <= epoch_ms
