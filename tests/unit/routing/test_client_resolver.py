"""The client of a request, and its scheme, by each setting of ``client_ip``."""

from ipaddress import ip_network

import pytest

from gateway.routing.client_address import ClientIp
from gateway.routing.client_resolver import ClientResolver
from tests.fakes.heads import request_head

CLIENT, PROXY, OTHER = "203.0.113.9", "10.0.0.1", "198.51.100.7"
TRUSTED = (ip_network("10.0.0.0/8"),)
X_FORWARDED_FOR = ("X-Forwarded-For", CLIENT)
FORWARDED = ("Forwarded", f"for={CLIENT};proto=https")
HTTPS = ("X-Forwarded-Proto", "https")


def resolver(client_ip: ClientIp, public_origin: str = "http://app.example.com") -> ClientResolver:
    """Build a resolver that trusts the proxies in 10.0.0.0/8."""
    return ClientResolver(client_ip, TRUSTED, public_origin)


@pytest.mark.parametrize(
    ("client_ip", "peer", "fields", "address", "scheme"),
    [
        pytest.param("peer", PROXY, [X_FORWARDED_FOR], PROXY, "http", id="peer"),
        pytest.param(
            "x-forwarded-for", PROXY, [X_FORWARDED_FOR, HTTPS], CLIENT, "https", id="our-proxy"
        ),
        pytest.param(
            "x-forwarded-for", OTHER, [X_FORWARDED_FOR, HTTPS], OTHER, "http", id="another-peer"
        ),
        pytest.param("x-forwarded-for", PROXY, [], PROXY, "http", id="our-proxy-names-no-client"),
        pytest.param("forwarded", PROXY, [FORWARDED], CLIENT, "https", id="rfc-7239"),
        pytest.param("forwarded", PROXY, [X_FORWARDED_FOR, HTTPS], PROXY, "http", id="other-field"),
        pytest.param("proxy-protocol", PROXY, [FORWARDED, HTTPS], PROXY, "http", id="proxy-header"),
    ],
)
def test_client_and_scheme(
    client_ip: str, peer: str, fields: list[tuple[str, str]], address: str, scheme: str
) -> None:
    """Only a trusted proxy, in the configured field, names the client and its scheme."""
    found = resolver(ClientIp(client_ip))
    head = request_head(*fields, peer=peer)
    assert address == found.client_of(head).text
    assert scheme == found.scheme_of(head)


def test_a_tls_socket_is_https_whatever_the_public_url_says() -> None:
    """The scheme of the socket comes before that of ``public_url``."""
    head = request_head(peer=CLIENT)
    over_tls = head._replace(peer=head.peer._replace(scheme="https"))
    found = resolver(ClientIp.PEER)
    assert ("http", "https") == (found.scheme_of(head), found.scheme_of(over_tls))


def test_without_trusted_proxies_no_field_names_the_scheme() -> None:
    """A client cannot claim a scheme."""
    found = ClientResolver(ClientIp.X_FORWARDED_FOR, (), "https://app.example.com")
    head = request_head(("X-Forwarded-Proto", "http"), peer=CLIENT)
    assert "https" == found.scheme_of(head)
