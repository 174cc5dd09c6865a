"""
Names of fields in which other gateways tell apps who is asking, and from where.

An app that once stood behind one of them may still read them, so a client must not write them. An
upstream can let single ones pass (``headers.pass``).
"""

from gateway.headers.fields import normalise_name

FOREIGN_IDENTITY = frozenset(
    {
        "remote-user",  # Authelia, Caddy, Apache
        "remote-email",
        "remote-name",
        "remote-groups",
        "x-remote-user",
        "x-webauth-user",  # Grafana
        "x-webauth-email",
        "x-webauth-groups",
        "x-forwarded-user",  # oauth2-proxy
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
    }
)
"""Normalised names of fields for the identity of a caller."""

FOREIGN_IDENTITY_PREFIXES = ("x-auth-request-", "x-pomerium-", "x-authentik-", "cf-access-")
"""How names begin that one gateway keeps for itself: oauth2-proxy, Pomerium, authentik, Access."""

FOREIGN_ADDRESSES = frozenset(
    {
        "client-ip",
        "x-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "x-original-forwarded-for",
        "x-forwarded",
        "x-host",
        "x-original-host",
        "x-url-scheme",
        "front-end-https",
    }
)
"""Normalised names of fields for the client's address, and for the host and scheme it asked for."""


def is_foreign(name: str) -> bool:
    """Return whether other gateways write a field of this name, in any spelling."""
    normalised = normalise_name(name)
    return (
        normalised in FOREIGN_IDENTITY
        or normalised in FOREIGN_ADDRESSES
        or normalised.startswith(FOREIGN_IDENTITY_PREFIXES)
    )
