"""The private listener, for tests that ask it over a socket; and what it shows and does."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.admin.access import Operator
from gateway.admin.api import AdminActions
from gateway.admin.feed import DashboardSource
from gateway.admin.figures import Overview
from gateway.admin.listener import AdminServices, AdminSockets, serving
from gateway.admin.operations import Operations
from gateway.admin.promotion import Promoted
from gateway.admin.status import Status
from gateway.audit.switch import NO_AUDIT, AuditSwitch
from gateway.config.addresses import HostPort
from gateway.config.server import AdminSettings
from gateway.proxy.downstream import bind
from gateway.revocation.revoke import Revocation, Revoked
from gateway.telemetry.snapshot import MetricsSnapshot

ISSUER, EMAIL = "did:ethr:0xAd", "ada@example.com"
DONE = Revoked(ISSUER, 1_800_000_000_400, 3)
EXPLAINED = {"verdict": "admitted"}


class Source:
    """Has the status that it is given."""

    def __init__(self) -> None:
        self.status = Status(True, "ok", "ok")
        self.refused: list[Mapping[str, Any]] = []

    async def state(self) -> Status:
        return self.status

    async def snapshot(self) -> MetricsSnapshot:
        return MetricsSnapshot({("tunnels", ""): 4}, {})

    async def overview(self) -> Overview:
        whole = await self.snapshot()
        return Overview(whole, {"gateway": whole})

    async def refusals(self, since: str) -> list[Mapping[str, Any]]:
        return [each for each in self.refused if each["time"] >= since]


class Deeds:
    """Records which issuers were revoked, and fails as told."""

    def __init__(self) -> None:
        self.revoked: list[str] = []
        self.explained: list[object] = []
        self.error: Exception | None = None

    async def revoke(self, name: str) -> Revocation:
        if self.error is not None:
            raise self.error
        self.revoked.append(name)
        if name == EMAIL:
            return Revocation((DONE, DONE._replace(issuer="did:ethr:0xB0", sessions=0)), EMAIL)
        return Revocation((DONE._replace(issuer=name),))

    async def explain(self, document: object) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        self.explained.append(document)
        return EXPLAINED

    async def promote(self) -> Promoted:
        if self.error is not None:
            raise self.error
        return Promoted("new.yaml", "ab")


class Works:
    """Records what it was asked for, and fails as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    async def _note(self, *asked: Any) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        self.asked.append(asked)
        return {"did": asked[0]}

    async def config(self) -> dict[str, Any]:
        return await self._note("config")

    async def hooks(self) -> dict[str, Any]:
        return await self._note("hooks")

    async def callers(self, limit: str) -> dict[str, Any]:
        return await self._note("callers", limit)

    async def people(self, wanted: str, more: str) -> dict[str, Any]:
        return await self._note("people", wanted, more)

    async def sessions(self, issuer: str) -> dict[str, Any]:
        return await self._note("sessions", issuer)

    async def end_session(self, document: Any, operator: Operator) -> dict[str, Any]:
        return await self._note("end-session", document, operator)

    async def reset_limit(self, document: Any, operator: Operator) -> dict[str, Any]:
        return await self._note("reset-limit", document, operator)

    async def replay(self, document: Any, operator: Operator) -> dict[str, Any]:
        return await self._note("replay", document, operator)

    async def reload(self, document: Any, operator: Operator) -> dict[str, Any]:
        return await self._note("reload", document, operator)

    async def drain(self, document: Any, operator: Operator) -> dict[str, Any]:
        return await self._note("drain", document, operator)


@asynccontextmanager
async def listening(
    settings: AdminSettings,
    source: DashboardSource,
    actions: AdminActions,
    trail: AuditSwitch = NO_AUDIT,
    operations: Operations | None = None,
) -> AsyncIterator[int]:
    """Serve it; the port."""
    assert isinstance(settings.listen, HostPort)
    [sock] = bind.bind(settings.listen)
    services = AdminServices(source, actions, trail, operations)
    try:
        async with serving(lambda: settings, services, AdminSockets([sock])):
            yield bind.port_of(sock)
    finally:
        bind.close(sock)
