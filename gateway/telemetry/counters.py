"""What happened how often, in this process: plain integers, which cost nothing to count."""

from bisect import bisect_left
from collections import Counter
from typing import NamedTuple

from gateway.core.reasons import Reason


class MetricSpec(NamedTuple):
    """
    One line of the table: what is counted, and what its label says (empty for none).

    Several labels stand with commas between them, and so do their values.
    """

    name: str
    label: str
    help: str
    max_of_workers: bool = False
    """Whether of several processes' values the one farthest from 0 counts, and not their sum."""


COUNTERS = (
    MetricSpec("requests", "status", "Requests answered, by status class"),
    MetricSpec("refusals", "code", "Requests refused, by the code of the problem document"),
    MetricSpec("refusal_reasons", "reason", "Requests refused, by the reason, where it has a word"),
    MetricSpec("authentications", "method,outcome", "Requests by how they were proven, or refused"),
    MetricSpec(
        "connections", "outcome", "Connections, accepted, refused, or failed on their way in"
    ),
    MetricSpec("tunnels", "", "Tunnels opened"),
    MetricSpec("tunnels_ended", "reason", "Tunnels ended, by why"),
    MetricSpec("upstream_retries", "upstream", "Requests sent once more"),
    MetricSpec("upstream_ejections", "upstream", "Servers taken out because they failed"),
    MetricSpec("bus_messages", "subject", "Messages heard of what to forget, by kind"),
    MetricSpec("bus_subscriptions", "", "Times that hearing these messages began, or began again"),
    MetricSpec("revocations", "", "Issuers revoked here"),
    MetricSpec("magic_logouts", "outcome", "Signed out at Magic too: ok, failed or dropped"),
    MetricSpec("grace_uses", "", "Requests let in by a session known before the store went away"),
    MetricSpec("reloads", "outcome", "Config reloads, applied or refused"),
    MetricSpec(
        "tokens_early", "", "New DID tokens whose iat lay ahead of our clock, as far as it may"
    ),
    MetricSpec(
        "access_log_dropped", "", "Lines of the access log that its reader was too slow for"
    ),
    MetricSpec("worker_restarts", "", "Workers started again because they had ended"),
)
"""All that is counted. Labels have few values, none of a client's making."""

GAUGES = (
    MetricSpec("connections_open", "", "Connections from clients that are open"),
    MetricSpec("tunnels_open", "", "Tunnels that are open"),
    MetricSpec("upstream_busy", "upstream", "Connections to an upstream that carry an exchange"),
    MetricSpec("upstream_idle", "upstream", "Connections to an upstream that wait for a request"),
    MetricSpec("upstream_servers_out", "upstream", "Servers left alone, counted by each process"),
    MetricSpec(
        "clock_skew_seconds",
        "",
        "How far Magic's clock was ahead of ours at its last answer; negative if behind",
        max_of_workers=True,
    ),
    MetricSpec("workers", "state", "Worker processes, by what they do: up or down"),
)
"""All that goes up and down."""

DURATION = MetricSpec(
    "request_duration_seconds", "", "From the head of a request to the answer's end"
)

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of what durations are counted together; one more bucket is for longer ones."""


class Counters:
    """Counts events; read by the metrics page."""

    __slots__ = ("by_class", "by_method", "counts", "durations", "total_s")

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """By figure's name and label's value; requests by status class are in ``by_class``."""
        self.by_class = [0] * 10
        self.by_method: Counter[str] = Counter()
        """Requests whose caller was proven; by an `AuthMethod`."""
        self.durations = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0

    def add(self, name: str, label: str = "") -> None:
        """One more."""
        self.counts[name, label] += 1

    def request(
        self, status: int, refusal: str, duration_s: float, reason: str = "", method: str = ""
    ) -> None:
        """One more request; 0.3 µs."""
        self.by_class[status // 100] += 1
        if method:
            self.by_method[method] += 1
        if refusal:
            self.counts["refusals", refusal] += 1
            if isinstance(reason, Reason):  # other reasons are free text: no label
                self.counts["refusal_reasons", reason.value] += 1
        self.durations[bisect_left(BUCKETS_S, duration_s)] += 1
        self.total_s += duration_s
