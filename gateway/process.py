"""What a process has once, whatever config is in use."""

from dataclasses import dataclass
from typing import NamedTuple

from gateway import wiring
from gateway.identity.development import DevelopmentMagic
from gateway.identity.directory import Source
from gateway.identity.farewells import Farewells
from gateway.identity.jwks import KeySets
from gateway.identity.magic import SignatureChecker
from gateway.identity.skew import Skew
from gateway.ports import Bus, Store
from gateway.proxy.tunnels import Tunnels
from gateway.ratelimit.local import LocalLimiter


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
