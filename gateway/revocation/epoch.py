"""
What "revoked" means: all that an issuer has proven up to an epoch is void.

An epoch is a Unix time in milliseconds. The times of proofs come from tokens, whose ``iat`` counts
whole seconds: one of 12:00:00.9 says 12:00:00. So what was proven in the second of the epoch, be it
before or after, is void too, and nothing that came before it slips through; a sign-in counts again
from the next full second on.
"""

from gateway.core.identity import AuthMethod, Identity

KEPT_BEYOND_S = 86_400.0
"""
An epoch is kept for as long as the longest-lived token, and for so much longer.

For clocks that differ, and for gateways whose config allows a longer life.
"""


_OF_PEOPLE = frozenset({AuthMethod.SESSION, AuthMethod.DID_TOKEN, AuthMethod.JWT})


def subject_of(identity: Identity) -> str | None:
    """
    In whose name an epoch makes void what proved ``identity``; None where none can.

    An API key may live longer than its owner's epoch is kept, and is revoked in its own name.
    """
    if identity.method in _OF_PEOPLE:
        return identity.user.issuer
    if identity.method is AuthMethod.API_KEY:
        return api_key_subject(identity.token_id)
    return None


def api_key_subject(key_id: str) -> str:
    """The name of an API key; no issuer is called so."""
    return f"api-key:{key_id}"


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
