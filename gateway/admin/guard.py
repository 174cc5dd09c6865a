"""
Who may use the API of the private listener: programs that mean to, and no page in a browser.

A browser on the operator's machine reaches the listener, and any page can make it send requests
there; so what browsers say of themselves is refused. A page whose own host name was pointed at the
listener (DNS rebinding) names that host: what is asked for must be an address, or a name that the
config knows (Caddy CVE-2026-27589).
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]+)?", re.ASCII)
_OF_BROWSERS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Referer")


def refusal(headers: Mapping[str, str], known_hosts: frozenset[str]) -> str | None:
    """Why a request is refused; None where it is not. ``known_hosts`` are in lower case."""
    for name in _OF_BROWSERS:
        if name in headers:
            return f"a request with {name} comes from a browser"
    host = host_of(headers.get("Host", ""))
    if host not in known_hosts and not _is_address(host):
        return "Host is neither an address nor in admin.hosts"
    return None


def host_of(field: str) -> str:
    """The host in a ``Host`` field, in lower case, without port and brackets; or nothing."""
    match = _HOST.fullmatch(field.lower())
    return (match[1] or match[2]) if match else ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_json(content_type: str) -> bool:
    """A form cannot be sent so, and a script of another site only after asking (Fetch, CORS)."""
    return content_type.partition(";")[0].strip().lower() == "application/json"
