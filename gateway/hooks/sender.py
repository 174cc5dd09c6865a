"""
Sends deliveries over HTTP: to allowed addresses alone, within a deadline, without redirects.

Names are resolved here, each address is judged, and what passed is what is connected to: a name
that leads elsewhere a moment later gains nothing.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway import __version__
from gateway.core.ports import Clock
from gateway.hooks.attempts import HookAnswer, retry_after_s
from gateway.hooks.cloud_event import CONTENT_TYPE
from gateway.hooks.destination import Destinations

_THREADS = 32


class DestinationRefused(Exception):
    """A destination that webhooks may not go to."""


class Post(NamedTuple):
    """One attempt: where to, and what."""

    url: str
    fields: Mapping[str, str]
    body: bytes


class SystemResolver(AbstractResolver):
    """
    Asks the resolver of the system, in threads of its own.

    A name whose servers do not answer holds a thread for longer than an attempt takes. Those that
    all share resolve the names of upstreams, too.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "hook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        kind, flags = socket.SOCK_STREAM, socket.AI_ADDRCONFIG
        ask = partial(socket.getaddrinfo, host, port, family, kind, flags=flags)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=of,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for of, _, protocol, _, address in found
            if not any(address[3:])  # in IPv6 a scope: such an address is never allowed
        ]

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedResolver(AbstractResolver):
    """Resolves names to those of their addresses that are allowed."""

    def __init__(self, is_allowed: Callable[[str], bool], resolver: AbstractResolver) -> None:
        self._is_allowed = is_allowed
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises `DestinationRefused` where no address is left."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [each for each in found if self._is_allowed(each["host"])]
        if not allowed:
            raise DestinationRefused("the name leads to addresses that are not allowed")
        return allowed

    async def close(self) -> None:
        """Close the resolver underneath."""
        await self._resolver.close()


class Sender:
    """
    Posts deliveries. Use it as a context manager.

    Those without TLS go to networks that the operator lists alone, wherever a name leads: events
    are about people.
    """

    def __init__(
        self,
        destinations: Destinations,
        timeout_s: float,
        clock: Clock = time.time,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._clock = clock
        self._resolver = resolver or SystemResolver()
        self._by_tls = _Way(destinations.is_allowed, timeout_s, self._resolver)
        self._plain = _Way(destinations.is_private, timeout_s, self._resolver)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._by_tls.session.close()
        await self._plain.session.close()
        await self._resolver.close()

    async def send(self, post: Post) -> HookAnswer:
        """Make one attempt, and tell what came of it; raises nothing but a cancellation."""
        url = URL(post.url, encoded=True)
        try:
            way = self._by_tls if url.scheme == "https" else self._plain
            way.judge(url)
            async with way.session.post(
                url, data=post.body, headers=post.fields, allow_redirects=False
            ) as response:
                field = response.headers.get("Retry-After", "")
                wait_s = retry_after_s(response.status, field, self._clock())
                return HookAnswer(response.status, f"status {response.status}", wait_s)
        except DestinationRefused as error:
            return HookAnswer(0, f"refused: {error}")
        except ClientConnectorCertificateError:
            return HookAnswer(0, "its certificate is not valid")
        except TimeoutError:
            return HookAnswer(0, "no answer in time")
        except (ClientError, OSError, ValueError) as error:  # ValueError: for a field
            return HookAnswer(0, type(error).__name__)


class _Way:
    """Connections to addresses that are allowed."""

    def __init__(
        self, is_allowed: Callable[[str], bool], timeout_s: float, resolver: AbstractResolver
    ) -> None:
        self._is_allowed = is_allowed
        self.session = ClientSession(
            connector=TCPConnector(
                resolver=GuardedResolver(is_allowed, resolver), use_dns_cache=False, limit=0
            ),
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=ClientTimeout(total=timeout_s),
            headers={"Content-Type": CONTENT_TYPE, "User-Agent": f"gateway/{__version__}"},
        )

    def judge(self, url: URL) -> None:
        """Judge an address that stands in the URL itself: aiohttp does not resolve those."""
        host = url.host or ""
        if _is_address(host) and not self._is_allowed(host):
            raise DestinationRefused("the address is not allowed")


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
