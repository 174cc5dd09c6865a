"""
The metrics: one constant each, which call sites pass to `gateway.telemetry.counters.Counters`.

To add a metric, declare its constant here; the metrics page and the documentation read `METRICS`.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Generic, Literal, TypeVar, get_args

from gateway.core.errors import PROBLEM_TYPES
from gateway.core.invalidation import InvalidationKind

LabelT = TypeVar("LabelT", bound=str)

NoLabel = Literal[""]
"""The label value of a metric without a label."""

ConnectionOutcome = Literal["accepted", "refused", "failed"]
TunnelEndReason = Literal["closed", "idle", "expired", "revoked", "drained"]
LogoutOutcome = Literal["ok", "failed", "dropped"]
ReloadOutcome = Literal["applied", "refused"]
WorkerState = Literal["up", "down"]


@dataclass(frozen=True, slots=True, eq=False)
class MetricSpec:
    """
    A metric of the metrics page, by its name without the prefix ``gateway_``.

    Several labels are separated by commas, and so are their values.
    """

    kind: ClassVar[str]
    suffix: ClassVar[str] = ""
    """What Prometheus puts behind the name."""

    name: str
    help: str
    label: str = ""
    """Empty for a metric without a label."""
    values: tuple[str, ...] = ()
    """All values of the label; empty where the set is open (names from the config)."""

    def allows(self, value: str) -> bool:
        """Whether ``value`` is declared as a label value; tests hold the metrics page to it."""
        return not value if not self.label else not self.values or value in self.values


class CounterSpec(MetricSpec, Generic[LabelT]):
    """A number of events. mypy refuses a label value outside ``LabelT``."""

    __slots__ = ()
    kind = "counter"
    suffix = "_total"


@dataclass(frozen=True, slots=True, eq=False)
class GaugeSpec(MetricSpec):
    """A value that goes up and down."""

    kind = "gauge"

    max_of_workers: bool = False
    """Whether the value farthest from 0 is shown of several workers, and not their sum."""


class HistogramSpec(MetricSpec):
    """A distribution of durations over `BUCKETS_S`."""

    __slots__ = ()
    kind = "histogram"


BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of durations; one more bucket holds longer ones."""

CLIENT_GONE: Final = "client_gone"
"""In place of a problem code: the client left before the response (nginx's status 499)."""

# --- counters ----------------------------------------------------------------------------------

REQUESTS: Final[CounterSpec[str]] = CounterSpec(
    "requests", "Requests answered, by status class", "status"
)
REFUSALS: Final[CounterSpec[str]] = CounterSpec(
    "refusals",
    "Requests refused, by the code of the problem document",
    "code",
    (*(answer.code for answer in PROBLEM_TYPES.values()), CLIENT_GONE),
)
REFUSAL_REASONS: Final[CounterSpec[str]] = CounterSpec(
    "refusal_reasons", "Requests refused, by reason; reasons in free text are left out", "reason"
)
AUTHENTICATIONS: Final[CounterSpec[str]] = CounterSpec(
    "authentications",
    "Credentials authenticated or refused, by method",
    "method,outcome",  # one for each kind of credential, of which the registry has the list
)
CONNECTIONS: Final[CounterSpec[ConnectionOutcome]] = CounterSpec(
    "connections",
    "Connections accepted, refused at a limit, or failed before they were accepted",
    "outcome",
    get_args(ConnectionOutcome),
)
TUNNELS: Final[CounterSpec[NoLabel]] = CounterSpec("tunnels", "Tunnels opened")
TUNNELS_ENDED: Final[CounterSpec[TunnelEndReason]] = CounterSpec(
    "tunnels_ended", "Tunnels ended, by reason", "reason", get_args(TunnelEndReason)
)
UPSTREAM_RETRIES: Final[CounterSpec[str]] = CounterSpec(
    "upstream_retries", "Requests retried", "upstream"
)
UPSTREAM_EJECTIONS: Final[CounterSpec[str]] = CounterSpec(
    "upstream_ejections", "Servers ejected after failures", "upstream"
)
UPSTREAM_STRAY_BYTES: Final[CounterSpec[str]] = CounterSpec(
    "upstream_stray_bytes",
    "Connections to an upstream closed because bytes came that belong to no answer",
    "upstream",
)
BUS_MESSAGES: Final[CounterSpec[str]] = CounterSpec(
    "bus_messages",
    "Invalidation messages received, by kind",
    "subject",
    (*InvalidationKind, "unreadable"),
)
BUS_SUBSCRIPTIONS: Final[CounterSpec[NoLabel]] = CounterSpec(
    "bus_subscriptions",
    "Subscriptions to invalidation messages, reconnections included",
)
STORE_WRONG_REPLIES: Final[CounterSpec[NoLabel]] = CounterSpec(
    "store_wrong_replies",
    "Exchanges with the store that failed by a reply that was not asked for",
)
REVOCATIONS: Final[CounterSpec[NoLabel]] = CounterSpec(
    "revocations", "Issuers revoked by this gateway"
)
MAGIC_LOGOUTS: Final[CounterSpec[LogoutOutcome]] = CounterSpec(
    "magic_logouts",
    "Logouts at Magic: ok, failed or dropped",
    "outcome",
    get_args(LogoutOutcome),
)
LIMIT_EXCESSES: Final[CounterSpec[str]] = CounterSpec(
    "limit_excesses", "Requests that a limit with mode: shadow would have refused", "limit"
)
GRACE_USES: Final[CounterSpec[NoLabel]] = CounterSpec(
    "grace_uses", "Requests authenticated by a cached session while the store was unavailable"
)
RELOADS: Final[CounterSpec[ReloadOutcome]] = CounterSpec(
    "reloads", "Config reloads, applied or refused", "outcome", get_args(ReloadOutcome)
)
TOKENS_EARLY: Final[CounterSpec[NoLabel]] = CounterSpec(
    "tokens_early", "New DID tokens with an iat in the future, within the tolerated clock skew"
)
ACCESS_LOG_DROPPED: Final[CounterSpec[NoLabel]] = CounterSpec(
    "access_log_dropped", "Access log lines dropped because the reader was too slow"
)
LOG_DROPPED: Final[CounterSpec[NoLabel]] = CounterSpec(
    "log_dropped", "Lines of the gateway's own log dropped because the reader was too slow"
)
WORKER_RESTARTS: Final[CounterSpec[NoLabel]] = CounterSpec(
    "worker_restarts", "Workers restarted after they had ended"
)

# --- gauges ------------------------------------------------------------------------------------

CONNECTIONS_OPEN: Final = GaugeSpec("connections_open", "Open client connections")
TUNNELS_OPEN: Final = GaugeSpec("tunnels_open", "Open tunnels")
UPSTREAM_BUSY: Final = GaugeSpec("upstream_busy", "Connections to an upstream in use", "upstream")
UPSTREAM_IDLE: Final = GaugeSpec("upstream_idle", "Idle connections to an upstream", "upstream")
UPSTREAM_SERVERS_OUT: Final = GaugeSpec(
    "upstream_servers_out", "Ejected or unhealthy servers, as counted by each process", "upstream"
)
CLOCK_SKEW_SECONDS: Final = GaugeSpec(
    "clock_skew_seconds",
    "How far Magic's clock was ahead at its last answer; negative if behind",
    max_of_workers=True,
)
WORKERS: Final = GaugeSpec(
    "workers", "Worker processes, by state: up or down", "state", get_args(WorkerState)
)

# --- histograms --------------------------------------------------------------------------------

REQUEST_DURATION: Final = HistogramSpec(
    "request_duration_seconds", "Time from the head of a request to the end of its answer"
)

METRICS: Final[tuple[MetricSpec, ...]] = tuple(
    declared for declared in tuple(globals().values()) if isinstance(declared, MetricSpec)
)
"""Every metric above, in the order of the metrics page."""
