"""
Guard of the API of the private listener: admits programs, and no page in a browser.

CSRF: a browser on the operator's machine reaches the listener, and any page can make it send
requests, so requests with fields of browsers are refused. DNS rebinding: a page may point its own
host name at the listener, so ``Host`` must be an address, or a name in the config (Caddy
CVE-2026-27589).
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]+)?", re.ASCII)
_BROWSER_FIELDS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Referer")


def refusal(headers: Mapping[str, str], known_hosts: frozenset[str]) -> str | None:
    """Why a request is refused, or None. ``known_hosts`` are in lower case."""
    for name in _BROWSER_FIELDS:
        if name in headers:
            return f"a request with {name} comes from a browser"
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
