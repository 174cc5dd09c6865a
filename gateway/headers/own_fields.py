"""Fields of an app's answer that the gateway writes in its place: CORS, and rate limits."""

from gateway.authz.cors import replaced
from gateway.core.request import Outbound
from gateway.headers.answer_limits import replaced_limits


def with_own_fields(
    block: bytes, outbound: Outbound, *, has_cors: bool = True, has_limits: bool = True
) -> bytes:
    """
    Return the lines of an answer with those of the gateway.

    ``has_cors`` and ``has_limits`` are whether the app may have written such fields itself.
    """
    if cors := outbound.cors:
        block = replaced(block, cors) if has_cors else block + cors
    if outbound.limits is not None and (lines := outbound.limits.lines):
        block = replaced_limits(block, lines) if has_limits else block + lines
    return block
