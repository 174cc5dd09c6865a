"""The crafted DID tokens of the package, by the names that tests know them by."""

from gateway.selftest.corpus.token_case import MAX_LIFETIME_S
from gateway.selftest.corpus.token_case import HostileToken as Case
from gateway.selftest.corpus.tokens import HOSTILE_TOKENS as CASES

__all__ = ["CASES", "MAX_LIFETIME_S", "Case"]
