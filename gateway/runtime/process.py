"""What outlives a config: the services that a process builds once and keeps over every reload."""

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.audit.switch import NO_AUDIT, AuditSwitch
from gateway.authn.jwt.key_set import KeySets
from gateway.core.ports import Bus, Store
from gateway.proxy.downstream.shared_counts import SharedCounts
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.tunnel.registry import TunnelRegistry
from gateway.proxy.upstream.connect import Resolver
from gateway.ratelimit.census import Census
from gateway.ratelimit.leases import RedisLeases
from gateway.ratelimit.list_store import KnownLists
from gateway.ratelimit.local import LocalLimiter
from gateway.runtime.services.audit import ProcessAudit
from gateway.runtime.shadow import ShadowTraffic
from gateway.telemetry.counters import Counters
from gateway.telemetry.tracing import Traces
from gateway.users.by_email import EmailSource
from gateway.users.clock_skew import ClockSkew
from gateway.users.development import DevelopmentMagic
from gateway.users.directory import MetadataSource
from gateway.users.magic_api import SignatureChecker
from gateway.users.magic_logout import MagicLogout
from gateway.util.deadlines import Deadlines


class Inherited(NamedTuple):
    """What a worker is handed by its supervisor; without one, a process makes it for itself."""

    seed: bytes
    """Of the users of development mode."""
    made_up_key: bytes
    """Seals where the config names no key."""
    sockets: Sequence[socket.socket] | None = None
    """Listening already, see `bind_all`; without them the addresses of the config are bound."""
    store_url: str | None = None
    """Of an embedded server that runs already."""
    client_id: str | None = None
    """The client id that Magic has answered with."""
    counts: SharedCounts | None = None
    """Of the connections of each client to all workers."""
    role: str = "gateway"
    """What the process is on its machine, for the names of chains in audit files."""
    is_shadowed: bool = False
    """Whether a candidate config is going to decide, too; see `gateway.runtime.shadow`."""
    environ: Mapping[str, str] = os.environ
    """Names the exporter of traces, if there is one."""
    dashboard_socket: str | None = None
    """Where requests of `admin.route` are answered; None without one."""


def standalone() -> Inherited:
    """Make the keys of a process that has no supervisor."""
    return Inherited(secrets.token_bytes(32), secrets.token_bytes(32))


class WireServices(NamedTuple):
    """What all connections of a process share."""

    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    write_batcher: WriteBatcher
    counters: Counters
    resolver: Resolver
    """Its last answers outlast a config: a reload while DNS is down changes nothing."""


class UserSource(MetadataSource, EmailSource, Protocol):
    """Authority on users: Magic's admin API, or development mode."""


@dataclass(frozen=True, slots=True)
class MagicServices:
    """Magic as a source of users, and the one client id that tokens are checked for."""

    source: UserSource
    checker: SignatureChecker
    client_id: str
    development: DevelopmentMagic | None
    skew: ClockSkew


class ProcessServices(NamedTuple):
    """The services that outlive a config."""

    wire: WireServices
    store: Store
    magic: MagicServices
    local: LocalLimiter
    census: Census
    leases: RedisLeases
    """Of requests that are under way; a tunnel may outlast many configs."""
    made_up_key: bytes
    """Seals where the config names no key: development mode."""
    tunnels: TunnelRegistry
    bus: Bus
    magic_logout: MagicLogout | None
    """None in development mode: there is no Magic to sign out at."""
    key_sets: KeySets
    """Of issuers of JWTs: the keys of one that cannot be reached after a reload stay in use."""
    known_lists: KnownLists
    """Of limits: the entries of operators that were read last hold while the store is down."""
    counts: SharedCounts | None = None
    """Of the connections of each client to all workers; None without workers."""
    traces: Traces | None = None
    """None where the environment asks for none."""
    shadow: ShadowTraffic | None = None
    """Has a candidate config decide, too; None without ``gateway run --shadow``."""
    audit: ProcessAudit | None = None
    """The audit log; None in tests alone."""
    dashboard_socket: str | None = None
    """See `Inherited.dashboard_socket`."""

    @property
    def trail(self) -> AuditSwitch:
        """Where decisions about identities are written."""
        return NO_AUDIT if self.audit is None else self.audit.trail
