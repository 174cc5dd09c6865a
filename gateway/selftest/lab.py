"""A gateway under test, in this process: on socket pairs, between attackers and recorders."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address, ip_address
from typing import Final, NamedTuple

from gateway.config.schema import Settings
from gateway.core.ports import Store
from gateway.core.request import Certificate, Client
from gateway.proxy.downstream.connection import ClientConnection
from gateway.proxy.downstream.reads import BoundedReads
from gateway.routing.client_address import client_at
from gateway.runtime.gateway import Gateway, running
from gateway.runtime.process import Inherited
from gateway.runtime.services.store import open_store, store_server
from gateway.selftest.isolation import StandIns, isolated
from gateway.selftest.jwt_keys import JwtKeys
from gateway.selftest.recorder import ArrivedRequest, Recorder, recording
from gateway.users.development import DevelopmentMagic
from gateway.util.temporary_folder import temporary_folder

WITHIN_S: Final = 10.0
"""Time for one exchange; what takes longer counts as unanswered."""
_READ_BYTES: Final = 1 << 16
_TOKEN_S: Final = 600.0
"""For which tokens are valid, unless the config allows less."""
_SEED: Final = b"selftest" * 4
_FIRST_ADDRESS: Final = int(IPv4Address("198.18.0.1"))
"""RFC 2544: of networks that are measured, so of no client and no proxy."""


class Answered(NamedTuple):
    """One answer, as far as the selftest reads it."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return all values of the field ``name``."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name: str) -> str:
        """Return the only value of ``name``; empty where there is none, or several."""
        found = self.values(name)
        return found[0] if len(found) == 1 else ""


NOTHING: Final = Answered(0, (), b"")
"""No answer came."""


class Exchanged(NamedTuple):
    """What was sent, from where, and what came of it."""

    raw: bytes
    peer: str
    answers: bytes
    arrived: tuple[ArrivedRequest, ...]
    unreadable: tuple[bytes, ...] = ()
    """What arrived, too, and is no request to a server."""

    @property
    def answer(self) -> Answered:
        """The first answer."""
        return first_answer(self.answers)


class _Introduced:
    """A connection whose client is told, in place of the address of a socket."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def hand_over(self) -> Client:
        return self._client


class Lab:
    """Sends to the gateway under test, and says what arrived at its recorders."""

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        store: Store,
        recorders: dict[str, Recorder],
        people: StandIns,
        jwt_keys: JwtKeys,
        made_up_key: bytes,
    ) -> None:
        """``settings`` are those that the gateway under test runs with."""
        if gateway.development is None:
            raise RuntimeError("a selftest runs in development mode")
        self.settings = settings
        self.store = store
        self.people = people
        self.jwt_keys = jwt_keys
        self.magic: DevelopmentMagic = gateway.development
        self.made_up_key = made_up_key
        self.sent = 0
        self.reached = 0
        """Requests that arrived at a recorder: where there are none, attacks prove nothing."""
        self.unreadable = 0
        """Messages that arrived there, and are no requests."""
        self._gateway = gateway
        self._recorders = recorders
        self._addresses = _addresses()

    def mint(self, email: str) -> str:
        """Mint a DID token for ``email``."""
        return self.magic.mint(email, _token_s(self.settings), time.time())

    def fresh_peer(self) -> str:
        """Return an address that no limit has counted yet."""
        return next(self._addresses)

    async def send(
        self, raw: bytes, peer: str = "", certificate: Certificate | None = None
    ) -> Exchanged:
        """Send ``raw`` and the end of the stream from ``peer``; return when all is answered."""
        peer = peer or self.fresh_peer()
        before = {name: len(each.arrived) for name, each in self._recorders.items()}
        answers = await self._exchange(raw, peer, certificate)
        self.sent += 1
        arrived = tuple(
            request
            for name, recorder in self._recorders.items()
            for request in recorder.arrived[before[name] :]
        )
        self.reached += len(arrived)
        return Exchanged(raw, peer, answers, arrived, self._unreadable())

    def _unreadable(self) -> tuple[bytes, ...]:
        """Return what recorders could not read since the last call."""
        found = tuple(head for each in self._recorders.values() for head in each.unreadable)
        for each in self._recorders.values():
            each.unreadable.clear()
        self.unreadable += len(found)
        return found

    async def _exchange(self, raw: bytes, peer: str, certificate: Certificate | None) -> bytes:
        client = client_at(ip_address(peer))._replace(certificate=certificate)
        answers = b""
        reader, writer = await self._connect(client)
        try:
            async with asyncio.timeout(WITHIN_S):
                writer.write(raw)
                writer.write_eof()
                while part := await reader.read(_READ_BYTES):
                    answers += part
        except (OSError, TimeoutError):  # refused before all of it was read, or never answered
            pass
        finally:
            writer.transport.abort()
        return answers

    async def _connect(self, client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the gateway under test as ``client``."""
        server, ends = self._gateway.server, socket.socketpair()
        ours, theirs = ends
        try:
            await server.loop.connect_accepted_socket(
                lambda: BoundedReads(
                    ClientConnection(server, _Introduced(client)), server.limits.head_bytes
                ),
                theirs,
            )
            return await asyncio.open_connection(sock=ours)
        except BaseException:
            for end in ends:
                end.close()
            raise


def first_answer(octets: bytes) -> Answered:
    """Read the first final answer in ``octets``; `NOTHING` where there is none."""
    while octets.startswith(b"HTTP/1.1 1"):
        octets = octets.partition(b"\r\n\r\n")[2]
    head, end, body = octets.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    if not end or not line.startswith("HTTP/1."):
        return NOTHING
    fields = (each.partition(":") for each in lines)
    return Answered(
        int(line.split(" ")[1]), tuple((name, value.strip()) for name, _, value in fields), body
    )


def _token_s(settings: Settings) -> float:
    return min(_TOKEN_S, settings.identity.max_token_lifetime_s)


def _addresses() -> Iterator[str]:
    number = _FIRST_ADDRESS
    while True:
        yield str(IPv4Address(number))
        number += 1


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Lab]:
    """
    Run a gateway with ``settings``, isolated, until the context ends.

    Nothing is read from or written to the store, Magic, apps, webhooks and the audit file that the
    config names, nor is anything exported as the environment says.
    Raises `StartError` where something that it needs is missing.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(temporary_folder("gateway-selftest-"))
        people = StandIns(DevelopmentMagic(_SEED))
        jwt_keys = JwtKeys(settings.credentials.jwt, _token_s(settings))
        sockets = {name: folder / str(n) for n, name in enumerate(settings.upstreams)}
        recorders = {
            name: await stack.enter_async_context(recording(name, path))
            for name, path in sockets.items()
        }
        under_test = isolated(settings, sockets, jwt_keys.written(folder), people)
        url = await stack.enter_async_context(store_server(under_test))
        store = await stack.enter_async_context(open_store(url, under_test))
        log = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, log)
        inherited = Inherited(_SEED, _SEED, sockets=(), store_url=url, environ={})
        gateway = await stack.enter_async_context(running(under_test, log, inherited))
        lab = Lab(under_test, gateway, store, recorders, people, jwt_keys, _SEED)
        for email in people.emails.values():
            lab.mint(email)  # so that the simulated Magic knows them
        yield lab
