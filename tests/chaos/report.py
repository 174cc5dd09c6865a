"""What a fault of the store has cost: a row of the table in docs/redis.md."""

from typing import NamedTuple

from tests.chaos.people import Tally


class Cost(NamedTuple):
    """Figures of one fault."""

    name: str
    requests: int
    refused: int
    """Answers that were not 200, from the beginning of the fault on."""
    outage_s: float
    """Longest time in which no request at all was answered with 200."""
    recovered_s: float
    """From the end of the fault until a second without a refusal began."""
    p99_ms: float

    @property
    def row(self) -> str:
        """A row of a table in Markdown."""
        share = 100 * self.refused / max(1, self.requests)
        return (
            f"| {self.name} | {self.requests} | {share:.1f} % | {self.outage_s:.1f} s "
            f"| {self.recovered_s:.1f} s | {self.p99_ms:.0f} ms |"
        )


def cost(name: str, tally: Tally, began_s: float, healed_s: float) -> Cost:
    """Work out the figures of a fault that began and ended then, by the monotonic clock."""
    outcomes = tally.since(began_s)
    took = sorted(outcome.took_s for outcome in outcomes)
    return Cost(
        name,
        len(outcomes),
        sum(outcome.status != 200 for outcome in outcomes),
        tally.outage_s(began_s),
        tally.recovered_s(healed_s),
        took[int(len(took) * 0.99)] * 1000 if took else 0.0,
    )
