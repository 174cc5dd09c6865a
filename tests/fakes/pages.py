"""The gateway's own pages over fakes, asked through a socket of the pages server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from gateway.config.load import parse
from gateway.core.event import Notice
from gateway.core.identity import Identity, User
from gateway.headers.request import internal_identity
from gateway.pages import registry
from gateway.pages.app import PagesServer
from gateway.pages.error_pages import ErrorPages
from gateway.pages.look import Look
from gateway.pages.services import PageServices
from gateway.ratelimit.lists import LimitLists
from gateway.sessions.cookie import Cookie
from gateway.users.development import DevelopmentMagic
from tests.fakes.hooks import FakeEvents
from tests.fakes.http import Answer, RawClient
from tests.fakes.memory import FakeClock, MemoryStore
from tests.fakes.ports import Diary, KnownSessions, RecordingLimiter

ORIGIN = "http://localhost:8080"
PREFIX = "/_gateway"
CLIENT = "X-Gateway-Client: 192.0.2.1"


class FakeRevocations:
    """Writes down who was revoked."""

    def __init__(self, diary: Diary) -> None:
        self._diary = diary
        self.notices: list[Notice] = []
        """What was to be told of revocations."""

    async def epoch_ms(self, issuer: str) -> int | None:
        raise NotImplementedError(issuer)

    def epoch_in(self, record: bytes | None, issuer: str) -> int | None:
        raise NotImplementedError(issuer, record)

    async def revoke(self, issuer: str, notices: Sequence[Notice] = ()) -> int:
        self.notices += notices
        self._diary.append(f"revoke {issuer}")
        return 1


def page_services(diary: Diary, more: str = "", **changes: Any) -> PageServices:
    """Services that record in ``diary`` what they were asked; ``more`` is added to the config."""
    text = (
        f"server: {{public_url: '{ORIGIN}'}}\nredis: {{url: 'embedded://'}}\n"
        f"magic: {{mode: development}}\n{more}"
    )
    clock = FakeClock()

    async def learn(user: User) -> None:
        diary.append(f"learn {user.email}")

    async def settled(_: str) -> bool:
        return True

    settings = parse(text, "gateway.yaml", {}, lambda path: path)
    services = PageServices(
        settings=settings,
        clock=clock,
        store=MemoryStore(clock),
        sessions=KnownSessions(diary, {}),
        revocations=FakeRevocations(diary),
        limiter=RecordingLimiter(diary),
        lists=LimitLists(),
        cookie=Cookie("session", secure=False),
        server_keys=(b"k" * 32,),
        signing_keys=(),
        development=DevelopmentMagic(b"seed"),
        learn=learn,
        log_out_at_magic=lambda issuer: diary.append(f"log {issuer} out at Magic"),
        events=FakeEvents(),
        first_login_settled=settled,
        error_pages=ErrorPages(Look(settings)),
    )
    return services._replace(**changes)


class Pages:
    """Pages that are served."""

    def __init__(self, server: PagesServer) -> None:
        self._server = server

    async def ask(
        self,
        method: str,
        path: str,
        *fields: str,
        identity: Identity | None = None,
        body: bytes = b"",
        host: str = "localhost",
    ) -> Answer:
        """One request, with the fields of the pipeline for ``identity``."""
        lines = [f"{method} {PREFIX}{path} HTTP/1.1", f"Host: {host}", CLIENT, *fields]
        if identity is not None:
            lines.append(internal_identity(identity).decode().rstrip())
        if body:
            lines.append(f"Content-Length: {len(body)}")
        client = await self._connect()
        try:
            await client.send("\r\n".join([*lines, "", ""]).encode() + body)
            return await client.answer(method)
        finally:
            client.writer.transport.abort()

    async def _connect(self) -> RawClient:
        reader = asyncio.StreamReader()
        protocol = _Stream(reader)
        await self._server.connect(cast(Any, lambda: protocol))
        loop = asyncio.get_running_loop()
        return RawClient(reader, asyncio.StreamWriter(protocol.wire, protocol, reader, loop))


class _Stream(asyncio.StreamReaderProtocol):
    """Keeps its transport."""

    wire: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.wire = cast(asyncio.WriteTransport, transport)


@asynccontextmanager
async def serving(services: PageServices) -> AsyncIterator[Pages]:
    """The pages of the list, made from ``services``."""
    async with registry.serving(services) as server:
        yield Pages(server)
