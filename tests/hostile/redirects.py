"""The values of ``return_to`` of the package, which lead astray."""

from gateway.selftest.corpus.redirects import GOOD, LISTED, OURS, PAYLOADS

__all__ = ["GOOD", "LISTED", "OURS", "PAYLOADS"]
