"""
What the gateway's own pages are told of a request, beyond whose it is: no app sees these lines.

The pages can believe them: all fields named ``X-Gateway-…`` are stripped from what clients send,
and nothing but the gateway reaches the pages.
"""

from multidict import CIMultiDictProxy

from gateway.authn.credentials import presented
from gateway.core.request import Client
from gateway.core.route import Route
from gateway.sessions.seal import is_secret, key_name

INTERNAL_CLIENT = "X-Gateway-Client"
INTERNAL_REPLACED = "X-Gateway-Replaced"

MAX_REPLACED = 4
"""Sessions that one login ends. A browser sends one; more are somebody's attempt at something."""


def internal_fields(
    route: Route, client: Client, headers: CIMultiDictProxy[str], cookie_name: str
) -> bytes:
    """The lines for a route that leads to the pages, each with its CRLF."""
    lines = f"{INTERNAL_CLIENT}: {client.text}\r\n"
    if route.is_sign_in:
        lines += f"{INTERNAL_REPLACED}: {' '.join(_session_keys(headers, cookie_name))}\r\n"
    return lines.encode("ascii")


def _session_keys(headers: CIMultiDictProxy[str], cookie_name: str) -> list[str]:
    """
    Of the sessions whose cookies came along.

    Who has the cookie may end the session: nothing need be looked up.
    """
    secrets = list(filter(is_secret, presented(headers, cookie_name)))
    return [key_name(secret) for secret in secrets[:MAX_REPLACED]]
