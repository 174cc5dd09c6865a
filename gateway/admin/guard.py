"""
Guard of the private listener.

DNS rebinding: a page may point its own host name at the listener and read what it answers, so
``Host`` must be an address, or a name in the config (Caddy CVE-2026-27589). This holds for the API
and the metrics; health tells nothing, and checkers use any name.

CSRF: a browser on the operator's machine reaches the listener, and any page can make it send
requests, so requests with fields of browsers are refused where programs alone ask: by
``/api/audit``. The rest of the API is asked by the dashboard, too: see `gateway.admin.access`.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]+)?", re.ASCII)
_BROWSER_FIELDS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Referer")


def refusal(headers: Mapping[str, str], known_hosts: frozenset[str]) -> str | None:
    """Why a request of a program is refused, or None. ``known_hosts`` are in lower case."""
    for name in _BROWSER_FIELDS:
        if name in headers:
            return f"a request with {name} comes from a browser"
    return host_refusal(headers, known_hosts)


def host_refusal(headers: Mapping[str, str], known_hosts: frozenset[str]) -> str | None:
    """Why a request is refused for its ``Host``, or None. ``known_hosts`` are in lower case."""
    host = host_of(headers.get("Host", ""))
    if host not in known_hosts and not _is_address(host):
        return "Host is neither an address nor in admin.hosts"
    return None


def host_of(field: str) -> str:
    """Host of a ``Host`` field, in lower case, without port and brackets; empty if malformed."""
    match = _HOST.fullmatch(field.lower())
    return (match[1] or match[2]) if match else ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_json(content_type: str) -> bool:
    """Whether it is JSON: a form cannot send it, and a foreign script needs a preflight (CORS)."""
    return content_type.partition(";")[0].strip().lower() == "application/json"
