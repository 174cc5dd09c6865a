"""Which of a request's limits its answer tells of, where it has several."""

from collections.abc import Iterable, Sequence

from gateway.core.limit import LimitState


def refusal_of(states: Sequence[LimitState]) -> LimitState | None:
    """Return the state that refuses a request, of the longest wait; None where none does."""
    refused = [state for state in states if not state.allowed]
    return max(refused, key=_wait) if refused else None


def tightest(states: Iterable[LimitState]) -> LimitState:
    """Return the state with the lowest share of its limit left; of equals, the longest to last."""
    return min(states, key=_room)


def _wait(state: LimitState) -> tuple[float, float]:
    return state.retry_after_s, state.reset_s


def _room(state: LimitState) -> tuple[float, float]:
    return state.remaining / state.limit.capacity, -state.reset_s
