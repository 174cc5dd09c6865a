"""Fields that tell an app where a request came from; the same for all requests of a client."""

from enum import StrEnum

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
    section 4.2.3): some apps refuse the colon alone.
    """
    host = host.removesuffix(":")
    lines = [] if rewrites_host else [f"Host: {host}"]
    if writes_via:
        lines.append("Via: 1.1 gateway")
    if hidden_prefix:
        lines.append(f"X-Forwarded-Prefix: {hidden_prefix}")
    if client == UNIX:
        client = "unknown"  # RFC 7239 section 6.2
    if forwarded is not ForwardedFields.X_FORWARDED:
        lines.append(f"Forwarded: {_forwarded(host, client, scheme)}")
    if forwarded is not ForwardedFields.FORWARDED:
        lines += (
            f"X-Forwarded-For: {client}",
            f"X-Forwarded-Proto: {scheme}",
            f"X-Forwarded-Host: {host}",
        )
    return "\r\n".join([*lines, "X-Request-Id: "]).encode("latin-1")


def _forwarded(host: str, client: str, scheme: str) -> str:
    """Name the client alone (RFC 7239 section 4): the hops before it cannot be verified."""
    node = f'"[{client}]"' if ":" in client else client
    quoted = host.replace("\\", "\\\\").replace('"', '\\"')
    return f'for={node};host="{quoted}";proto={scheme}'
