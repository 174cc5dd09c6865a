"""What a process has once, whatever config is in use."""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.authn.jwt.key_set import KeySets
from gateway.core.ports import Bus, Store
from gateway.proxy.tunnel.registry import Tunnels
from gateway.ratelimit.local import LocalLimiter
from gateway.runtime.services import upstreams as wiring
from gateway.users.clock_skew import Skew
from gateway.users.development import DevelopmentMagic
from gateway.users.directory import Source
from gateway.users.magic_api import SignatureChecker
from gateway.users.magic_logout import Farewells


@dataclass(frozen=True, slots=True)
class Magic:
    """Whom a process asks about users, and the one client id that it checks tokens for."""

    source: Source
    checker: SignatureChecker
    client_id: str
    development: DevelopmentMagic | None
    skew: Skew


class Process(NamedTuple):
    """The parts that outlive a config."""

    shared: wiring.Shared
    store: Store
    magic: Magic
    local: LocalLimiter
    made_up_key: bytes
    """Seals where the config names no key: development mode."""
    tunnels: Tunnels
    bus: Bus
    farewells: Farewells | None
    """None where there is no Magic to say goodbye to."""
    key_sets: KeySets
    """Of issuers of JWTs: who cannot be reached just after a reload goes on being believed."""
