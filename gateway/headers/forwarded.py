"""Fields that tell an app where a request came from; the same for all requests of a client."""

from enum import StrEnum
from functools import lru_cache

from gateway.routing.client_address import UNIX


class ForwardedFields(StrEnum):
    """The fields in which an app is told where a request came from."""

    BOTH = "both"
    X_FORWARDED = "x-forwarded"
    """X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host."""
    FORWARDED = "forwarded"
    """Forwarded (RFC 7239)."""


def forwarding_lines(
    forwarded: ForwardedFields,
    writes_via: bool,
    host: str,
    client: str,
    scheme: str,
    hidden_prefix: str,
    rewrites_host: bool,
) -> bytes:
    """
    Serialise the field lines; they end where the request's id belongs.

    ``hidden_prefix`` is the part of the path that the app does not see. Where Host is rewritten,
    the connection to the chosen server adds it. A port that is left empty is no port (RFC 9110
    section 4.2.3): some apps refuse the colon alone. ``Forwarded`` names the client alone (RFC 7239
    section 4): the hops before it cannot be verified.
    """
    if client == UNIX:
        client = "unknown"  # RFC 7239 section 6.2
    is_ipv6 = ":" in client
    parts = _around_client(
        forwarded, writes_via, host, scheme, hidden_prefix, rewrites_host, is_ipv6
    )
    return client.encode("ascii").join(parts)


@lru_cache(maxsize=1024)
def _around_client(
    forwarded: ForwardedFields,
    writes_via: bool,
    host: str,
    scheme: str,
    hidden_prefix: str,
    rewrites_host: bool,
    is_ipv6: bool,
) -> list[bytes]:
    """Serialise what stands around each mention of the client; all clients share it."""
    host = host.removesuffix(":")
    lines = [] if rewrites_host else [f"Host: {host}"]
    if writes_via:
        lines.append("Via: 1.1 gateway")
    if hidden_prefix:
        lines.append(f"X-Forwarded-Prefix: {hidden_prefix}")
    parts, text = [], "".join(f"{line}\r\n" for line in lines)
    if forwarded is not ForwardedFields.X_FORWARDED:
        before, after = ('"[', ']"') if is_ipv6 else ("", "")
        parts.append(f"{text}Forwarded: for={before}")
        text = f"{after};host={_quoted(host)};proto={scheme}\r\n"
    if forwarded is not ForwardedFields.FORWARDED:
        parts.append(f"{text}X-Forwarded-For: ")
        text = f"\r\nX-Forwarded-Proto: {scheme}\r\nX-Forwarded-Host: {host}\r\n"
    parts.append(f"{text}X-Request-Id: ")
    return [part.encode("latin-1") for part in parts]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
