"""Commands that the gateway sends to a server of the Redis protocol: for its ACL user."""

from collections.abc import Mapping
from typing import Final

COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "connections": ("auth", "echo", "hello", "ping", "select"),
    "values": ("exists", "get", "getex", "mget", "set", "del", "type"),
    "scripts": ("eval", "evalsha", "time"),
    "lists of sessions, keys and users, and of limits": (
        *("hdel", "hget", "hgetall", "hlen", "hset", "sadd", "smembers", "srem"),
        *("zadd", "zcard", "zrem", "zremrangebyrank", "zremrangebyscore"),
        *("zrevrange", "zrevrangebyscore", "zscore"),
    ),
    "events, and their deliveries": (
        *("hincrby", "xadd", "xdel", "xlen", "xrange", "xrevrange", "xtrim"),
        *("zcount", "zlexcount", "zrangebylex", "zrangebyscore"),
    ),
    "ends of keys": ("pexpire", "pexpireat", "pttl"),
    "hooks.confirm": ("wait",),
    "pub/sub": ("publish", "subscribe", "unsubscribe"),
    "gateway sessions list": ("scan",),
}
"""Commands by what they are for; those of scripts are included."""


def acl_rules(prefix: str) -> list[str]:
    """Return the rules of an ACL user that may do what a gateway with ``prefix`` does, no more."""
    allowed = [f"+{command}" for group in COMMANDS.values() for command in group]
    return [f"~{prefix}*", f"&{prefix}*", "-@all", *allowed]
