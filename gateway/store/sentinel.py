"""Clients of a primary that Redis Sentinel names, and that is asked for again when it goes."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio import Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    SentinelConnectionPool,
    SentinelManagedConnection,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoPermissionError, RedisError

from gateway.core.errors import StartError
from gateway.store.connect import Access, StoreTlsConnection, connection_settings, redis_client
from gateway.store.sentinel_url import HIGHEST_PORT, SentinelUrl, read_sentinel_url

_LOOK_EVERY_S = 1.0


class SentinelReply(NamedTuple):
    """What a sentinel says of the primary."""

    address: tuple[str, int]
    epoch: int
    """Of the configuration: the greater one is the newer one."""
    is_down: bool
    """Whether the sentinels agree that the primary is down (``o_down``)."""


class Sentinels:
    """
    Asks sentinels for the address of a primary: all at one time, until most have answered, or all
    where the primary is down. (The one that leads a failover is the first to know the next.)

    So one that hangs holds up no connection, and one that is cut off from the others, with an old
    address, is outvoted by the epoch of its answer.
    """

    def __init__(self, clients: Sequence[Redis], timeout_s: float) -> None:
        self._clients = clients
        self._timeout_s = timeout_s

    async def discover_master(self, name: str) -> tuple[str, int]:
        """Return the address. Raises `MasterNotFoundError`. (The name is that of redis-py.)"""
        asked = [asyncio.ensure_future(_ask(client, name)) for client in self._clients]
        replies: list[SentinelReply] = []
        errors: list[Exception] = []
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    for answer in asyncio.as_completed(asked):
                        try:
                            replies.append(await answer)
                        except (RedisError, OSError) as error:
                            errors.append(error)
                        if 2 * len(replies) > len(asked) and not newest(replies).is_down:
                            break
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return chosen(name, replies, errors)

    async def aclose(self) -> None:
        """Close the connections to the sentinels."""
        await asyncio.gather(*(client.aclose() for client in self._clients), return_exceptions=True)


def chosen(
    name: str, replies: Sequence[SentinelReply], errors: Sequence[Exception]
) -> tuple[str, int]:
    """Return the address in the newest reply. Raises `MasterNotFoundError`."""
    if not replies:
        why = "; ".join(sorted({f"{type(error).__name__}: {error}" for error in errors}))
        raise MasterNotFoundError(f"no sentinel names the primary {name}: {why or 'no reply'}")
    reply = newest(replies)
    if reply.is_down:
        raise MasterNotFoundError(f"the primary {name} is down, as the sentinels say")
    return reply.address


def newest(replies: Sequence[SentinelReply]) -> SentinelReply:
    """Return the reply of the newest configuration: a majority has agreed on each."""
    return max(replies, key=lambda reply: (reply.epoch, not reply.is_down))


async def _ask(client: Redis, name: str) -> SentinelReply:
    # Two words: for the one that redis-py knows, it would parse the reply.
    reply = await client.execute_command("SENTINEL", "MASTER", name)  # type: ignore[no-untyped-call]
    try:
        return _read(reply)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise InvalidResponse("not what a sentinel says of a primary") from None


def _read(reply: Any) -> SentinelReply:
    """Read a reply to SENTINEL MASTER. Raises any of several errors where it is none."""
    fields = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
    host, port = fields[b"ip"].decode(), int(fields[b"port"])
    if not host or not 0 < port <= HIGHEST_PORT:
        raise ValueError("no address")
    is_down = b"o_down" in fields[b"flags"].split(b",")
    return SentinelReply((host, port), int(fields[b"config-epoch"]), is_down)


class PrimaryWatch:
    """
    Looks out for another primary, once a second at most, while the store is used.

    A primary that was replaced may live on, and take writes that are lost, until the sentinels
    reach it.
    """

    def __init__(self, name: str, sentinels: Sentinels) -> None:
        self._name = name
        self._sentinels = sentinels
        self._looked_at_s = -inf
        self._address: tuple[str, int] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._version = 0

    def look(self, now_s: float) -> int:
        """Return how many times the primary was seen to have changed."""
        if now_s - self._looked_at_s >= _LOOK_EVERY_S and self._asking is None:
            self._looked_at_s = now_s
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return self._version

    async def aclose(self) -> None:
        """End the question that is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> None:
        try:
            with suppress(RedisError, OSError):
                address = await self._sentinels.discover_master(self._name)
                if self._address not in (None, address):
                    self._version += 1
                self._address = address
        finally:
            self._asking = None


class PrimaryPool(SentinelConnectionPool):
    """Connections to the primary. redis-py asks for its address whenever it opens one."""

    def __init__(self, name: str, sentinels: Sentinels, settings: Mapping[str, Any]) -> None:
        super().__init__(name, sentinels, **settings)  # type: ignore[no-untyped-call]
        self._sentinels = sentinels
        self.watch = PrimaryWatch(name, sentinels)

    async def aclose(self) -> None:
        await super().aclose()
        await self.watch.aclose()
        await self._sentinels.aclose()


class PrimaryConnection(SentinelManagedConnection):
    """A connection that is closed where the server says that it is no primary."""

    async def connect_to(self, address: tuple[str, int]) -> None:
        await super().connect_to(address)  # type: ignore[no-untyped-call]
        try:
            await self.send_command("ROLE")
            role = await self.read_response()
        except NoPermissionError:
            return  # writes will tell (READONLY)
        if not isinstance(role, list) or role[:1] != [b"master"]:
            await self.disconnect()
            raise RedisConnectionError("the server that the sentinels name is no primary yet")


class _PrimaryConnectionByUrl(PrimaryConnection, SSLConnection):
    """With TLS as the options of the URL say."""


class _PrimaryConnectionByFiles(PrimaryConnection, StoreTlsConnection):
    """With TLS as ``redis.tls`` says."""


def sentinel_client(url: str, timeout_s: float, access: Access, sentinel_access: Access) -> Redis:
    """
    Make a client of the primary that ``url`` names. Nothing is sent yet.

    ``timeout_s`` is for connecting; the sentinels get half of it. ``sentinel_access`` is for them.
    Raises `StartError`, which does not repeat the URL.
    """
    try:
        place = read_sentinel_url(url)
        settings: dict[str, Any] = {**parse_url(place.server_url)}
    except ValueError as error:
        raise StartError(f"redis.url cannot be read: {error}") from None
    is_tls = settings.pop("connection_class", None) is not None
    del settings["host"]
    if not is_tls:
        settings["connection_class"] = PrimaryConnection
    elif access.tls is None:
        settings["connection_class"] = _PrimaryConnectionByUrl
    else:
        settings["connection_class"] = _PrimaryConnectionByFiles
    clients = [
        redis_client(_sentinel_url(place, host, port), timeout_s, sentinel_access)
        for host, port in place.sentinels
    ]
    settings = connection_settings(timeout_s, access) | settings
    return Redis.from_pool(PrimaryPool(place.name, Sentinels(clients, timeout_s / 2), settings))


def _sentinel_url(place: SentinelUrl, host: str, port: int) -> str:
    """Return the URL of a sentinel: without credentials, with the same options for TLS."""
    parts = urlsplit(place.server_url)
    options = [pair for pair in parse_qsl(parts.query) if pair[0].startswith("ssl_")]
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{parts.scheme}://{authority}?{urlencode(options)}"
