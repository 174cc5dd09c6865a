"""What limits have decided, as plain numbers."""

from gateway.core.limit import UNCHARGED, LimitState


class LimitCounts:
    """How often a limit allowed a request, refused one, or let one through as a shadow limit."""

    __slots__ = ("allowed", "refused", "shadowed")

    def __init__(self) -> None:
        self.allowed = 0
        self.refused = 0
        self.shadowed = 0

    def note(self, state: LimitState) -> None:
        """Count one decision."""
        if not state.allowed:
            self.refused += 1
        elif state.remaining == UNCHARGED:
            self.shadowed += 1
        else:
            self.allowed += 1
