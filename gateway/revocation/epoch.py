"""
What "revoked" means: all that an issuer has proven up to an epoch is void.

An epoch is a Unix time in milliseconds. The times of proofs come from tokens, whose ``iat`` counts
whole seconds: one of 12:00:00.9 says 12:00:00. So what was proven in the second of the epoch, be it
before or after, is void too, and nothing that came before it slips through; a sign-in counts again
from the next full second on.
"""

from gateway.core.identity import AuthMethod, Identity, RevokedBy

KEPT_BEYOND_S = 86_400.0
"""
An epoch is kept for as long as the longest-lived token, and for so much longer.

For clocks that differ, and for gateways whose config allows a longer life.
"""


def subject_of(identity: Identity) -> str | None:
    """
    In whose name an epoch makes void what proved ``identity``; None where none can.

    An API key may live longer than its owner's epoch is kept, and is revoked in its own name.
    """
    match identity.method.revoked_by:
        case RevokedBy.ISSUER:
            return identity.user.issuer
        case RevokedBy.CREDENTIAL:
            return credential_subject(identity.method, identity.token_id)
        case RevokedBy.NOTHING:
            return None


def credential_subject(method: AuthMethod, token_id: str) -> str:
    """The name of one credential, as an epoch has it; no issuer is called so."""
    return f"{method}:{token_id}"


def api_key_subject(key_id: str) -> str:
    """The name of an API key, as an epoch has it."""
    return credential_subject(AuthMethod.API_KEY, key_id)


def key_of(issuer: str) -> str:
    """Where the epoch is kept."""
    return f"revoked:{issuer}"


def read_epoch_ms(record: bytes | None) -> int | None:
    """The epoch that is written there; None where there is none. Raises ValueError."""
    if record is None:
        return None
    if not (record.isdigit() and len(record) < 20):  # noqa: PLR2004 - as many digits as an int64
        raise ValueError("no epoch")
    return int(record)


def is_revoked(proven_at_ms: int, epoch_ms: int | None) -> bool:
    """Whether what was proven then is void."""
    return epoch_ms is not None and proven_at_ms <= epoch_ms
