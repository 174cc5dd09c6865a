"""URLs of a primary that sentinels name: ``redis+sentinel://[user:pw@]h1:p1,h2:p2/name/db``."""

import re
from typing import NamedTuple
from urllib.parse import unquote

DEFAULT_PORT = 26379
HIGHEST_PORT = 65535

_URL = re.compile(r"(rediss?)\+sentinel://([^/?#]*@)?([^/?#@]+)/([^/?#@]+)(?:/([0-9]*))?(\?[^#]*)?")
_SERVER = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^][:@\s]+))(?::([0-9]{1,5}))?")


class SentinelUrl(NamedTuple):
    """What such a URL says."""

    sentinels: tuple[tuple[str, int], ...]
    """Hosts and ports."""
    name: str
    """Of the primary, as the sentinels know it."""
    server_url: str
    """The URL of a server with the same credentials, database and options; its host is none."""


def read_sentinel_url(url: str) -> SentinelUrl:
    """Read ``url``. Raises `ValueError`, which does not repeat it: it may hold a password."""
    match = _URL.fullmatch(url)  # urlsplit takes no list of hosts where one is an IPv6 address
    if match is None:
        raise ValueError("expected redis+sentinel://host:port,host:port/name/database")
    scheme, credentials, places, name, database, query = match.groups(default="")
    server_url = f"{scheme}://{credentials}primary/{database or 0}{query}"
    return SentinelUrl(tuple(map(_server, places.split(","))), unquote(name), server_url)


def _server(text: str) -> tuple[str, int]:
    match = _SERVER.fullmatch(text)
    port = int(match[3] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port <= HIGHEST_PORT:
        raise ValueError("expected sentinels as host:port, with commas between them")
    return match[1] or match[2], port
