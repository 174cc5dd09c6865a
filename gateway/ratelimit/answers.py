"""The answers to requests that are charged together, whichever algorithm counts them."""

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
