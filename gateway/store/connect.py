"""Clients of redis-py for servers of the Redis protocol, and how their failures are told."""

from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.core.errors import StartError

HEALTH_CHECK_S = 30
"""A connection that was idle for longer is pinged before it is used."""


def redis_client(url: str, timeout_s: float) -> Redis:
    """
    Make a client of redis-py, set up for `RedisStore`. Nothing is sent yet.

    Retries are off: by default, redis-py repeats a failed command ten times over four seconds,
    writes included. Maintenance notifications (on by default in RESP3) are off: with them, its pool
    no longer discards a connection with an unread reply. There is no time-out for each reply, which
    would cost a task and a timer: `RedisStore` has a deadline for the whole exchange.

    Raises `StartError`, which does not repeat the URL: it may hold a password.
    """
    try:
        return Redis.from_url(
            url,
            decode_responses=False,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=timeout_s,
            socket_timeout=None,
            health_check_interval=HEALTH_CHECK_S,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
    except ValueError:
        raise StartError("redis.url cannot be read") from None


def address_of(url: str) -> str:
    """Return ``url`` for the log: without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def cause_of(error: Exception) -> str:
    """
    Describe a failure for the log.

    What failed in connecting is told; what a server says of a command is not, as it may hold a key.
    """
    is_told = isinstance(error, RedisConnectionError | OSError) and str(error)
    return f"{type(error).__name__}: {error}" if is_told else type(error).__name__
