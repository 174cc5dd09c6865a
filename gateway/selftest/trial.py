"""A trial of one config: what its attacks share, and what they have found."""

from typing import NamedTuple

from gateway.config.schema import RouteSettings, Settings
from gateway.selftest.callers import CallerProof, Callers, head, host_of, method_of, path_of
from gateway.selftest.codes import kind_of
from gateway.selftest.lab import Exchanged, Lab
from gateway.selftest.places import Places
from gateway.selftest.recorder import ArrivedRequest

_SHOWN_BYTES = 1200


class SelftestFinding(NamedTuple):
    """A way past the gateway, with the octets that show it."""

    code: str
    route: str
    """The route that it goes past; empty where it is no single one."""
    message: str
    peer: str
    """Address that it was sent from."""
    sent: str
    arrived: str
    """At the server of the app, or at the client."""
    remedy: str


class ConfigTrial:
    """One config in its lab, with the findings so far."""

    def __init__(self, settings: Settings, lab: Lab) -> None:
        """``settings`` are those of the operator; ``lab`` runs with what isolation left of them."""
        self.settings = settings
        self.lab = lab
        self.places = Places(settings)
        self.callers = Callers(lab)
        self.findings: dict[tuple[str, str], SelftestFinding] = {}
        self.shown: dict[str, str] = {}
        """By route, the kind of caller that it was shown to let through."""
        self.notes: list[str] = []
        """What could not be shown."""
        self.gaps: list[str] = []
        """Why the attacks prove too little."""
        self.closed_to_strangers: list[RouteSettings] = []
        """Routes that refuse a user that no rule names."""

    def found(
        self,
        code: str,
        route: str,
        message: str,
        exchanged: Exchanged,
        arrived: ArrivedRequest | None = None,
    ) -> None:
        """Keep a finding; the first one of its code and route is enough."""
        result = arrived.head + arrived.body if arrived is not None else exchanged.answers
        self.findings.setdefault(
            (code, route),
            SelftestFinding(
                code,
                route,
                message,
                exchanged.peer,
                self._legible(exchanged.raw),
                self._legible(result),
                kind_of(code).remedy,
            ),
        )

    async def ask(
        self, route: RouteSettings, *lines: str, by: CallerProof | None = None, method: str = ""
    ) -> Exchanged:
        """Make a plain request that ``route`` takes."""
        by = by or CallerProof(())
        host = host_of(self.settings, route)
        raw = head(method or method_of(route), path_of(route), host, *by.lines, *lines)
        return await self.lab.send(raw, by.peer, by.certificate)

    def is_anonymous(self, arrived: ArrivedRequest) -> bool:
        """Whether the gateway has told the app of no caller."""
        return not arrived.values(self.settings.identity.headers.issuer)

    @property
    def forwarding(self) -> list[RouteSettings]:
        """Routes that lead to an app."""
        return [route for route in self.settings.routes if route.upstream is not None]

    def _legible(self, octets: bytes) -> str:
        text = octets[:_SHOWN_BYTES].decode("latin-1")
        for secret, label in self.callers.labels.items():
            text = text.replace(secret, label) if secret else text
        more = len(octets) - _SHOWN_BYTES
        return text + (f"… and {more} octets more" if more > 0 else "")
