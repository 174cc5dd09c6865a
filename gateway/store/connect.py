"""Clients of redis-py for servers of the Redis protocol, and how their failures are told."""

import re
import sys
from typing import Any, NamedTuple

from redis.asyncio import Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.core.errors import StartError
from gateway.store.login import Login
from gateway.util.client_tls import ClientTls

HEALTH_CHECK_S = 30
"""A connection that was idle for longer is pinged before it is used."""


class Access(NamedTuple):
    """How a server lets the gateway in, beside what the URL says."""

    login: Login | None = None
    tls: ClientTls | None = None
    """Instead of TLS as the options of the URL say."""
    server_name: str = ""
    """Name that the server's certificate must contain; the host of the server when empty."""


BY_URL = Access()
"""As the URL alone says."""


class NotConnected(RedisConnectionError):
    """No connection was opened, so nothing was sent."""


class StoreTlsConnection(Connection):
    """A connection whose certificates are read again when their files change."""

    def __init__(self, *, tls: ClientTls, server_name: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self._tls = tls
        self._server_name = server_name

    def _connection_arguments(self) -> dict[str, Any]:
        """Return what ``asyncio.open_connection`` is called with; redis-py has no other hook."""
        arguments = dict(super()._connection_arguments())
        name = self._server_name or arguments["host"]
        return arguments | {"ssl": self._tls.context(), "server_hostname": name}


def redis_client(url: str, timeout_s: float, access: Access = BY_URL) -> Redis:
    """
    Make a client of redis-py, set up for `RedisStore`. Nothing is sent yet.

    ``timeout_s`` is for connecting. Raises `StartError`, which does not repeat the URL: it may hold
    a password.
    """
    try:
        client = Redis.from_url(url, **connection_settings(timeout_s, access))
    except ValueError:
        raise StartError("redis.url cannot be read") from None
    if access.tls is not None:  # from_url takes the class that the scheme stands for
        client.connection_pool.connection_class = StoreTlsConnection
    return client


def connection_settings(timeout_s: float, access: Access) -> dict[str, Any]:
    """
    Return what all connections of redis-py are made with.

    Retries are off: by default, redis-py repeats a failed command ten times over four seconds,
    writes included. Maintenance notifications (on by default in RESP3) are off: with them, its pool
    no longer discards a connection with an unread reply. There is no time-out for each reply, which
    would cost a task and a timer: `RedisStore` has a deadline for the whole exchange. It bounds its
    connections, too, and has twice as many while they are replaced; by default the pool has 100.
    """
    settings = {
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": timeout_s,
        "socket_timeout": None,
        "health_check_interval": HEALTH_CHECK_S,
        "max_connections": sys.maxsize,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if access.login is not None:
        settings["credential_provider"] = access.login
    if access.tls is not None:
        settings |= {"tls": access.tls, "server_name": access.server_name}
    return settings


def address_of(url: str) -> str:
    """Return ``url`` for the log: without user, password and options."""
    scheme, _, rest = url.partition("://")  # urlsplit knows no list of hosts
    authority, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def is_upstash(url: str) -> bool:
    """Whether the store at ``url`` is one of Upstash's, or speaks its REST API."""
    scheme, _, rest = address_of(url).partition("://")
    host = rest.partition("/")[0].partition(":")[0]
    return scheme.startswith("upstash+") or host.lower().endswith(".upstash.io")


def cause_of(error: Exception) -> str:
    """
    Describe a failure for the log.

    What failed in connecting is told; what a server says of a command is not, as it may hold a key.
    """
    is_told = isinstance(error, RedisConnectionError | OSError) and str(error)
    return f"{type(error).__name__}: {error}" if is_told else type(error).__name__
