"""From a URL to a client of redis-py, set up for `RedisStore`."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from gateway.core.errors import StartError

SCHEMES = ("redis://", "rediss://", "unix://")

HEALTH_CHECK_S = 30
"""A connection that was idle for longer is asked whether it lives before it is used."""


def connect(url: str, timeout_s: float) -> Redis:
    """
    A client for the server at ``url``: redis://, rediss:// or unix://. Nothing is sent yet.

    Raises `StartError`, which does not repeat the URL: it may hold a password.

    redis-py repeats a failed command ten times over four seconds by default, writes included:
    never here. With its maintenance notifications on (the default of RESP3) its pool no longer
    discards a connection on which an unread reply is left: off. There is no time-out for each
    reply (it costs a task and a timer): `RedisStore` has a deadline for the whole exchange.
    """
    if not url.startswith(SCHEMES):
        raise StartError(f"redis.url must begin with one of {', '.join(SCHEMES)}")
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
