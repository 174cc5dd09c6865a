"""The answers to requests that are charged, whichever algorithm counts them."""

from gateway.core.limit import Limit, LimitState


def answers(
    limit: Limit, left: int, allowed: int, asked: int, reset_s: float, retry_after_s: float
) -> list[LimitState]:
    """
    Answer each of ``asked`` requests, in order of arrival; the first ``allowed`` were charged.

    ``left`` is how many more would be allowed now, ``retry_after_s`` when one more is; it is told
    where none is left.
    """
    admitted = [
        LimitState(limit, True, remaining, reset_s, 0.0)
        for remaining in range(left + allowed - 1, left - 1, -1)
    ]
    if left:
        return admitted
    if admitted:
        admitted[-1] = admitted[-1]._replace(retry_after_s=retry_after_s)
    return admitted + [LimitState(limit, False, 0, reset_s, retry_after_s)] * (asked - allowed)


def answer(
    limit: Limit, left: int, reset_s: float, retry_after_s: float, *, is_allowed: bool
) -> LimitState:
    """
    Answer a request of any cost, with ``left`` requests left after it.

    ``retry_after_s`` is told where it was refused, and where none is left.
    """
    waits = not (is_allowed and left)
    return LimitState(limit, is_allowed, left, reset_s, retry_after_s if waits else 0.0)
