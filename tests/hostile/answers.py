"""The hostile answers of the package, by the names that tests know them by."""

from gateway.selftest.corpus.answers import HOSTILE_ANSWERS as CASES
from gateway.selftest.corpus.answers import HostileAnswer as Case

__all__ = ["CASES", "Case"]
