"""DID tokens for tests: real ones, and ones that no browser would make."""

from gateway.selftest.corpus.forge import (
    ABSENT,
    ALICE,
    BOB,
    attached,
    claim,
    compact,
    minted,
    packed,
    reproved,
    respelled,
    signed,
)
from gateway.users.development import DEVELOPMENT_AUDIENCE as AUDIENCE

__all__ = [
    "ABSENT",
    "ALICE",
    "AUDIENCE",
    "BOB",
    "attached",
    "claim",
    "compact",
    "minted",
    "packed",
    "reproved",
    "respelled",
    "signed",
]
