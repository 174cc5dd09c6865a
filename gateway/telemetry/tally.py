"""What happened how often, in this process: plain integers, which cost nothing to count."""

from collections import Counter
from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table: what is counted, and what its label says (empty for none)."""

    name: str
    label: str
    help: str


FIGURES = (
    Figure("requests", "status", "Requests answered, by status class"),
    Figure("connections", "outcome", "Connections from clients, accepted or refused"),
    Figure("tunnels", "", "Tunnels opened"),
    Figure("tunnels_ended", "reason", "Tunnels ended, by why"),
    Figure("upstream_retries", "upstream", "Requests sent once more"),
    Figure("upstream_ejections", "upstream", "Servers taken out because they failed"),
    Figure("reloads", "outcome", "Config reloads"),
)
"""All that is counted. Labels have few values, none of a client's making."""


class Tally:
    """Counts events; read by the metrics page."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """By figure's name and label's value."""

    def add(self, name: str, label: str = "") -> None:
        """One more."""
        self.counts[name, label] += 1
