"""Connections to servers: TCP, TLS or a unix socket."""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple

from aiohappyeyeballs import AddrInfoType, start_connection

from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.pool import Connect
from gateway.util.client_tls import ClientTls

_NEXT_ADDRESS_S = 0.25
"""Delay before the next address is tried in parallel (RFC 8305 section 5)."""

MakeUpstreamConnection = Callable[[], UpstreamConnection]
ResolveAddresses = Callable[[str, int], Awaitable[Sequence[AddrInfoType]]]
"""Returns all addresses of a name. Raises `OSError`."""


class _CachedAddresses(NamedTuple):
    addresses: Sequence[AddrInfoType]
    until_s: float


class _PendingLookup(NamedTuple):
    task: asyncio.Task[Sequence[AddrInfoType]]
    patience_ends_s: float


class Resolver:
    """
    Resolves names, again after every ``ttl_s``, so that new connections follow the DNS.

    If the system's resolver fails or is slow, the last answer is used.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        look_up: ResolveAddresses | None = None,
        ttl_s: float = 5.0,
        patience_s: float = 0.5,
    ) -> None:
        self._loop = loop
        self._look_up = look_up or self._ask_system
        self._ttl_s = ttl_s
        self._patience_s = patience_s
        self._known: dict[tuple[str, int], _CachedAddresses] = {}
        self._asking: dict[tuple[str, int], _PendingLookup] = {}
        self._turns: Counter[tuple[str, int]] = Counter()

    async def addresses(self, host: str, port: int) -> list[AddrInfoType]:
        """
        Return the addresses of ``host``, those of each family rotated every time.

        Raises `OSError` for a name that was never found.
        """
        found = await self.current(host, port)
        self._turns[host, port] += 1
        turn = self._turns[host, port]
        families = dict.fromkeys(entry[0] for entry in found)
        by_family = [[entry for entry in found if entry[0] == family] for family in families]
        return [
            entry
            for group in by_family
            for entry in (*group[turn % len(group) :], *group[: turn % len(group)])
        ]

    async def current(self, host: str, port: int) -> Sequence[AddrInfoType]:
        """Return the addresses of ``host``, in the resolver's order. Raises `OSError`."""
        key = host, port
        known = self._known.get(key)
        if known is not None and self._loop.time() < known.until_s:
            return known.addresses
        if key not in self._asking:
            task = self._loop.create_task(self._ask(key))
            task.add_done_callback(_retrieve_exception)
            self._asking[key] = _PendingLookup(task, self._loop.time() + self._patience_s)
        asking = self._asking[key]
        if known is None:
            return await asyncio.shield(asking.task)
        with suppress(OSError, TimeoutError):  # later callers share the deadline
            async with asyncio.timeout_at(asking.patience_ends_s):
                return await asyncio.shield(asking.task)
        return known.addresses

    async def _ask(self, key: tuple[str, int]) -> Sequence[AddrInfoType]:
        try:
            found = await self._look_up(*key)
        except OSError:
            known = self._known.get(key)
            if known is None:
                raise
            found = known.addresses
        finally:
            del self._asking[key]
        self._known[key] = _CachedAddresses(found, self._loop.time() + self._ttl_s)
        return found

    async def _ask_system(self, host: str, port: int) -> Sequence[AddrInfoType]:
        return await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class RemovedAddresses:
    """Finds addresses that a name has lost; one answer may hold only some of a name's addresses."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._seen_s: dict[str, float] = {}

    def gone(self, found: Sequence[AddrInfoType], now_s: float) -> frozenset[str]:
        """Return the addresses that were not ``found`` for ``after_s``; each of them once."""
        self._seen_s.update((str(entry[4][0]), now_s) for entry in found)
        gone = [name for name, at_s in self._seen_s.items() if now_s - at_s >= self._after_s]
        for name in gone:
            del self._seen_s[name]
        return frozenset(gone)


def _retrieve_exception(task: asyncio.Task[Sequence[AddrInfoType]]) -> None:
    """Mark a failure as seen: if all callers are cancelled, asyncio would log it."""
    if not task.cancelled():
        task.exception()


def to_unix(loop: asyncio.AbstractEventLoop, path: str) -> Connect:
    """Return a function that connects to the unix socket at ``path``."""

    async def connect(make: MakeUpstreamConnection) -> UpstreamConnection:
        _, protocol = await loop.create_unix_connection(make, path)
        return protocol

    return connect


def to_tcp(
    loop: asyncio.AbstractEventLoop,
    resolver: Resolver,
    host: str,
    port: int,
    tls: ClientTls | None = None,
    server_name: str | None = None,
) -> Connect:
    """Return a function that connects to ``host``; TLS verifies ``server_name``, else ``host``."""
    expected = (server_name or host) if tls is not None else None

    async def connect_to_address(make: MakeUpstreamConnection) -> UpstreamConnection:
        context = None if tls is None else tls.context()
        _, protocol = await loop.create_connection(
            make, host, port, ssl=context, server_hostname=expected
        )
        return protocol

    async def connect_to_name(make: MakeUpstreamConnection) -> UpstreamConnection:
        context = None if tls is None else tls.context()
        sock = await start_connection(
            await resolver.addresses(host, port),
            happy_eyeballs_delay=_NEXT_ADDRESS_S,
            interleave=1,
            loop=loop,
        )
        _, protocol = await loop.create_connection(
            make, sock=sock, ssl=context, server_hostname=expected
        )
        return protocol

    return connect_to_address if is_address(host) else connect_to_name


def is_address(host: str) -> bool:
    """Return whether ``host`` is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
