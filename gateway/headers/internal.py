"""
Fields for the gateway's own pages, beside the identity; no app gets these lines.

The pages can trust them: all fields named ``X-Gateway-…`` are stripped from requests of clients,
and only the gateway can reach the pages.
"""

from typing import Final
from urllib.parse import quote, unquote

from multidict import CIMultiDictProxy

from gateway.authn.credentials import cookie_values
from gateway.core.reasons import REASONS
from gateway.core.record import RequestRecord
from gateway.core.request import Client
from gateway.core.route import Route
from gateway.sessions.seal import is_secret, key_name

INTERNAL_CLIENT = "X-Gateway-Client"
INTERNAL_REPLACED = "X-Gateway-Replaced"
INTERNAL_REFUSAL: Final = "X-Gateway-Refusal"
"""In an answer of a page, for the record; clients never see it, and apps cannot say it."""

MAX_REPLACED = 4
"""Sessions that one login ends. A browser sends one; a flood of cookies is an attack."""


def internal_fields(
    route: Route, client: Client, headers: CIMultiDictProxy[str], cookie_name: str
) -> bytes:
    """Write the lines for a route that leads to the pages, each with its CRLF."""
    lines = f"{INTERNAL_CLIENT}: {client.text}\r\n"
    if route.is_sign_in:
        lines += f"{INTERNAL_REPLACED}: {' '.join(_session_keys(headers, cookie_name))}\r\n"
    return lines.encode("ascii")


def _session_keys(headers: CIMultiDictProxy[str], cookie_name: str) -> list[str]:
    """
    List the keys of the sessions in the request's cookies.

    The holder of a cookie may end its session, so none is looked up.
    """
    secrets = list(filter(is_secret, cookie_values(headers, cookie_name)))
    return [key_name(secret) for secret in secrets[:MAX_REPLACED]]


def told_refusal(code: str, reason: str) -> str:
    """Write the value of `INTERNAL_REFUSAL`."""
    return f"{code} {quote(reason)}" if reason else code


def note_refusal(headers: CIMultiDictProxy[str], record: RequestRecord) -> None:
    """Record the refusal that an answer of a page tells of, if it is one."""
    if (told := headers.get(INTERNAL_REFUSAL)) is not None:
        record.refusal, _, reason = told.partition(" ")
        text = unquote(reason)
        record.reason = REASONS.get(text, text)
