"""
The metrics: one constant each, which call sites pass to `gateway.telemetry.counters.Counters`.

To add a metric, declare its constant here; the metrics page and the documentation read `METRICS`.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from gateway.core.errors import PROBLEM_TYPES
from gateway.core.event import EventType
from gateway.core.identity import SessionEnd
from gateway.core.invalidation import InvalidationKind
from gateway.telemetry.metric_kinds import (
    CounterSpec,
    GaugeSpec,
    MetricSpec,
    NoLabel,
    ProcessCounterSpec,
    ProcessGaugeSpec,
)

ConnectionOutcome = Literal["accepted", "refused", "failed"]
TunnelEndReason = Literal["closed", "idle", "expired", "revoked", "drained"]
LogoutOutcome = Literal["ok", "failed", "dropped"]
ReloadOutcome = Literal["applied", "refused"]
WorkerState = Literal["up", "down"]
ShadowOutcome = Literal["alike", "different", "failed", "dropped"]
AuditOutcome = Literal["written", "lost"]
DeliveryOutcome = Literal["delivered", "failed", "dead"]
LimitOutcome = Literal["allowed", "refused", "shadowed"]
CacheName = Literal["sessions", "did_tokens", "jwts", "api_keys", "users", "roles", "revocations"]
SignInMethod = Literal["email", "sms", "oauth", "wallet", "unknown"]

CONFIG_NAMES: Final = frozenset({"route", "limit", "upstream", "endpoint"})
"""Labels whose values are names of the config; what a reload removes leaves the page."""

NO_ROUTE: Final = "-"
"""In place of a route's name: the request was refused before it had a route."""
OTHER_METHOD: Final = "other"
"""In place of a method that the gateway does not know, or of bytes that were no request."""


BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of durations; one more bucket holds longer ones."""

SHORT_BUCKETS_S = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
"""The same for what mostly takes less than a millisecond."""


@dataclass(frozen=True, slots=True, eq=False)
class HistogramSpec(MetricSpec):
    """A distribution of durations."""

    kind = "histogram"

    bounds_s: tuple[float, ...] = BUCKETS_S


CLIENT_GONE: Final = "client_gone"
"""In place of a problem code: the client left before the response (nginx's status 499)."""

# --- counters ----------------------------------------------------------------------------------

REQUESTS: Final[CounterSpec[str]] = CounterSpec(
    "requests", "Requests answered, by route, method and status", "route,method,status"
)
REQUEST_BYTES: Final[CounterSpec[str]] = CounterSpec(
    "request_bytes", "Bytes of the bodies of requests, as received", "route"
)
RESPONSE_BYTES: Final[CounterSpec[str]] = CounterSpec(
    "response_bytes", "Bytes of answers sent to clients, heads included", "route"
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
AUDIT_LINES: Final[CounterSpec[AuditOutcome]] = CounterSpec(
    "audit_lines",
    "Lines of the audit file: written, or lost while the file took none",
    "outcome",
    get_args(AuditOutcome),
)
HOOK_EVENTS: Final[CounterSpec[str]] = CounterSpec(
    "hook_events", "Events recorded for webhooks, by type", "type", tuple(EventType)
)
HOOK_EVENTS_LOST: Final[CounterSpec[str]] = CounterSpec(
    "hook_events_lost",
    "Events not recorded, as the outbox was full or the store unavailable, by type",
    "type",
    tuple(EventType),
)
FIRST_LOGINS_REFUSED: Final[CounterSpec[NoLabel]] = CounterSpec(
    "first_logins_refused", "First logins refused, as the outbox was full"
)
SIGN_INS_UNCONFIRMED: Final[CounterSpec[NoLabel]] = CounterSpec(
    "sign_ins_unconfirmed", "Sign-ins that replicas did not confirm in time (hooks.confirm)"
)
HOOK_DELIVERIES: Final[CounterSpec[str]] = CounterSpec(
    "hook_deliveries",
    "Attempts to deliver an event: delivered, failed (tried again), or dead (given up)",
    "endpoint,outcome",
)
SHADOW_REQUESTS: Final[CounterSpec[ShadowOutcome]] = CounterSpec(
    "shadow_requests",
    "Requests for the config of --shadow to decide: alike, different, failed (a server was away),"
    " or dropped (too many waited)",
    "outcome",
    get_args(ShadowOutcome),
)
SHADOW_DIVERGENCES: Final[CounterSpec[str]] = CounterSpec(
    "shadow_divergences",
    "Requests that the config of --shadow decided otherwise, by route of the config in use",
    "route,reason",
)
LIMIT_DECISIONS: Final[CounterSpec[str]] = CounterSpec(
    "limit_decisions",
    "Requests charged to a limit: allowed, refused, or over it and let through (mode: shadow)",
    "limit,outcome",
)
CACHE_LOOKUPS: Final[CounterSpec[str]] = CounterSpec(
    "cache_lookups",
    "Look-ups in a cache of this process: found there (hit), or not, or too old (miss)",
    "cache,outcome",
    tuple(f"{cache},{found}" for cache in get_args(CacheName) for found in ("hit", "miss")),
)
LOGINS: Final[CounterSpec[str]] = CounterSpec(
    "logins",
    "Exchanges of a DID token for a session: ok, refused, or failed as it could not be decided;"
    " the method is known of those that were ok",
    "method,outcome",
    (*(f"{method},ok" for method in get_args(SignInMethod)), "unknown,refused", "unknown,failed"),
)
SESSIONS_CREATED: Final[CounterSpec[NoLabel]] = CounterSpec("sessions_created", "Sessions created")
SESSIONS_ENDED: Final[CounterSpec[SessionEnd]] = CounterSpec(
    "sessions_ended",
    "Sessions ended by this gateway, by reason; those that expire end in the store, unseen",
    "reason",
    get_args(SessionEnd),
)
STORE_ERRORS: Final[CounterSpec[NoLabel]] = CounterSpec(
    "store_errors", "Exchanges with the store that failed or took too long"
)
MAGIC_ERRORS: Final[CounterSpec[NoLabel]] = CounterSpec(
    "magic_errors", "Calls to Magic that failed or took too long"
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
PROCESS_CPU_SECONDS: Final[ProcessCounterSpec[NoLabel]] = ProcessCounterSpec(
    "process_cpu_seconds", "CPU time used, by all processes of this gateway together"
)

# --- gauges ------------------------------------------------------------------------------------

CONNECTIONS_OPEN: Final = GaugeSpec("connections_open", "Open client connections")
TUNNELS_OPEN: Final = GaugeSpec("tunnels_open", "Open tunnels")
REQUESTS_IN_FLIGHT: Final = GaugeSpec(
    "requests_in_flight", "Requests that are being answered now; open tunnels do not count"
)
UPSTREAM_BUSY: Final = GaugeSpec("upstream_busy", "Connections to an upstream in use", "upstream")
UPSTREAM_IDLE: Final = GaugeSpec("upstream_idle", "Idle connections to an upstream", "upstream")
UPSTREAM_SERVERS_OUT: Final = GaugeSpec(
    "upstream_servers_out", "Ejected or unhealthy servers, as counted by each process", "upstream"
)
UPSTREAM_SERVER_UP: Final = GaugeSpec(
    "upstream_server_up",
    "1 if every process uses the server, 0 if one has ejected it or found it unhealthy",
    "upstream,server",
    merge="min",
)
UPSTREAM_CIRCUIT_OPEN: Final = GaugeSpec(
    "upstream_circuit_open",
    "1 while the circuit breaker of one process refuses requests; only of upstreams with one",
    "upstream",
    merge="max",
)
STORE_UP: Final = GaugeSpec(
    "store_up", "1 if the store answered every process as the metrics were read", merge="min"
)
MAGIC_UP: Final = GaugeSpec(
    "magic_up",
    "1 if calls to Magic are made, 0 while they are paused after failures",
    merge="min",
)
AUDIT_UP: Final = GaugeSpec(
    "audit_up",
    "1 while the audit file takes lines, 0 while it does not; only where there is such a file",
    merge="min",
)
CLOCK_SKEW_SECONDS: Final = GaugeSpec(
    "clock_skew_seconds",
    "How far Magic's clock was ahead at its last answer; negative if behind",
    merge="farthest",
)
WORKERS: Final = GaugeSpec(
    "workers", "Worker processes, by state: up or down", "state", get_args(WorkerState)
)

CONFIG_LAST_RELOAD_SUCCESS: Final = GaugeSpec(
    "config_last_reload_success",
    "1 if the config file was taken when it was read last, at start too; 0 if it was refused",
    merge="max",
)
CONFIG_LAST_RELOAD_TIMESTAMP: Final = GaugeSpec(
    "config_last_reload_timestamp_seconds",
    "When the config in use was read, in Unix time",
    merge="max",
)
CERTIFICATE_EXPIRY: Final = GaugeSpec(
    "certificate_expiry_timestamp_seconds",
    "When a certificate of the gateway's ends, in Unix time, by its file",
    "file",
    merge="min",
)
BUILD_INFO: Final = GaugeSpec(
    "build_info",
    "Always 1: the version of the gateway, of Python, and whether the module in C is in use",
    "version,python,kernel",
    merge="max",
)
PROCESS_RESIDENT_MEMORY: Final = ProcessGaugeSpec(
    "process_resident_memory_bytes", "Memory in use, by all processes of this gateway together"
)
PROCESS_VIRTUAL_MEMORY: Final = ProcessGaugeSpec(
    "process_virtual_memory_bytes", "Memory mapped, by all processes of this gateway together"
)
PROCESS_OPEN_FDS: Final = ProcessGaugeSpec(
    "process_open_fds", "Open file descriptors, of the process that has most", merge="max"
)
PROCESS_MAX_FDS: Final = ProcessGaugeSpec(
    "process_max_fds", "How many file descriptors a process may open", merge="min"
)
PROCESS_START_TIME: Final = ProcessGaugeSpec(
    "process_start_time_seconds", "When the gateway was started, in Unix time", merge="min"
)

# --- histograms --------------------------------------------------------------------------------

REQUEST_DURATION: Final = HistogramSpec(
    "request_duration_seconds", "Time from the head of a request to the end of its answer"
)
GATEWAY_DURATION: Final = HistogramSpec(
    "gateway_duration_seconds",
    "The part of that time that the gateway and the client took, by route",
    "route",
    bounds_s=SHORT_BUCKETS_S,
)
UPSTREAM_DURATION: Final = HistogramSpec(
    "upstream_duration_seconds",
    "The part of that time until the head of the app's answer, retries included, by route",
    "route",
)

STORE_DURATION: Final = HistogramSpec(
    "store_duration_seconds",
    "Time of an exchange with the store that succeeded; one carries the commands of many requests",
    bounds_s=SHORT_BUCKETS_S,
)
MAGIC_DURATION: Final = HistogramSpec(
    "magic_duration_seconds", "Time of a call to Magic that was answered"
)
EVENT_LOOP_LAG: Final = HistogramSpec(
    "event_loop_lag_seconds",
    "How late a timer was, of four a second: for so long, other requests waited too",
    bounds_s=SHORT_BUCKETS_S,
)

METRICS: Final[tuple[MetricSpec, ...]] = tuple(
    declared for declared in tuple(globals().values()) if isinstance(declared, MetricSpec)
)
"""Every metric above, in the order of the metrics page."""
