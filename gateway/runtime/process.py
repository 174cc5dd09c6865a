"""What a process has once, whatever config is in use."""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.authn.jwt.key_set import KeySets
from gateway.core.ports import Bus, Store
from gateway.proxy.tunnel.registry import TunnelRegistry
from gateway.ratelimit.local import LocalLimiter
from gateway.runtime.services import upstreams as wiring
from gateway.users.clock_skew import ClockSkew
from gateway.users.development import DevelopmentMagic
from gateway.users.directory import MetadataSource
from gateway.users.magic_api import SignatureChecker
from gateway.users.magic_logout import MagicLogout


@dataclass(frozen=True, slots=True)
class MagicServices:
    """Whom a process asks about users, and the one client id that it checks tokens for."""

    source: MetadataSource
    checker: SignatureChecker
    client_id: str
    development: DevelopmentMagic | None
    skew: ClockSkew


class ProcessServices(NamedTuple):
    """The parts that outlive a config."""

    shared: wiring.WireServices
    store: Store
    magic: MagicServices
    local: LocalLimiter
    made_up_key: bytes
    """Seals where the config names no key: development mode."""
    tunnels: TunnelRegistry
    bus: Bus
    magic_logout: MagicLogout | None
    """None where there is no Magic to say goodbye to."""
    key_sets: KeySets
    """Of issuers of JWTs: who cannot be reached just after a reload goes on being believed."""
