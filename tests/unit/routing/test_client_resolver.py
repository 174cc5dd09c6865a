"""The client of a request, and its scheme, by each setting of ``client_ip``."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.client_address import ClientIp
from gateway.routing.client_resolver import MAX_CLIENTS, MAX_PEERS, ClientResolver
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


# --- what is kept --------------------------------------------------------------------------------

_HOPS = st.sampled_from(
    ["", "junk", "10.0.0.1", "10.0.0.2", CLIENT, OTHER, "for=10.0.0.1", f"for={OTHER};proto=https"]
)
_LINES = st.lists(st.lists(_HOPS, min_size=1, max_size=3).map(", ".join), max_size=3)
_REQUESTS = st.lists(st.tuples(st.sampled_from([PROXY, "10.9.9.9", OTHER]), _LINES), max_size=20)


@given(st.sampled_from(["X-Forwarded-For", "Forwarded"]), _REQUESTS)
def test_what_is_kept_of_a_field_is_what_it_says(
    name: str, requests: list[tuple[str, list[str]]]
) -> None:
    """A resolver that has read other requests, of any peers, reads each as a new one does."""
    used = resolver(ClientIp(name.lower()))
    for peer, lines in requests * 2:
        head = request_head(*((name, line) for line in lines), peer=peer)
        fresh = resolver(ClientIp(name.lower()))
        assert fresh.client_of(head) == used.client_of(head)
        assert fresh.scheme_of(head) == used.scheme_of(head)


def test_a_field_is_read_once() -> None:
    """The same client is named by the same object."""
    found = resolver(ClientIp.X_FORWARDED_FOR)
    first, second = (found.client_of(request_head(X_FORWARDED_FOR, peer=PROXY)) for _ in range(2))
    assert CLIENT == first.text
    assert first is second


def test_what_is_kept_is_bounded() -> None:
    """By the number of fields, by the length of each, and by the number of peers."""
    found = resolver(ClientIp.X_FORWARDED_FOR)
    for number in range(2 * MAX_CLIENTS + 10):
        line = f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        found.client_of(request_head(("X-Forwarded-For", line), peer=PROXY))
    assert 10 == len(found._reported)
    assert MAX_CLIENTS == len(found._reported._old)

    long = request_head(("X-Forwarded-For", f"{'x' * 200}, {CLIENT}"), peer=PROXY)
    assert CLIENT == found.client_of(long).text
    assert 10 == len(found._reported)

    for number in range(MAX_PEERS + 10):
        found.is_trusted(request_head(peer=f"12.0.{number >> 8}.{number & 255}").peer)
    assert MAX_PEERS == len(found._trusted_peers)


REQUEST_ID = "X-Request-Id"


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        pytest.param(["6ba7b810-9dad-11d1-80b4-00c04fd430c8"], True, id="uuid"),
        pytest.param(["abc_1.2:3/4=5+6~7@8"], True, id="punctuation"),
        pytest.param(["x" * 128], True, id="longest"),
        pytest.param(["x" * 129], False, id="too-long"),
        pytest.param([""], False, id="empty"),
        pytest.param(["-a"], False, id="hyphen-first"),
        pytest.param(["a b"], False, id="space"),
        pytest.param(["a,b"], False, id="list"),
        pytest.param(['a"b'], False, id="quote"),
        pytest.param(["a\\b"], False, id="backslash"),
        pytest.param(["a\n"], False, id="line-break"),
        pytest.param(["é"], False, id="not-ascii"),
        pytest.param(["a", "a"], False, id="twice"),
        pytest.param([], False, id="none"),
    ],
)
def test_the_id_that_a_trusted_proxy_sent_is_kept(sent: list[str], is_kept: bool) -> None:
    """Where it is one short word, which can neither break a line of the log nor a document."""
    head = request_head(*((REQUEST_ID, value) for value in sent), peer=PROXY)
    kept = resolver(ClientIp.PEER).with_sent_id(head)
    assert kept == head._replace(request_id=sent[0] if is_kept else head.request_id)


@pytest.mark.parametrize(
    ("client_ip", "peer", "is_kept"),
    [
        ("peer", PROXY, True),
        ("x-forwarded-for", PROXY, True),
        ("forwarded", PROXY, True),
        ("proxy-protocol", PROXY, False),
        ("peer", OTHER, False),
        ("x-forwarded-for", OTHER, False),
    ],
)
def test_no_client_chooses_its_id(client_ip: str, peer: str, is_kept: bool) -> None:
    """It could claim the lines of another request; behind a PROXY header the peer is a client."""
    head = request_head((REQUEST_ID, "chosen"), peer=peer)
    assert is_kept is (resolver(ClientIp(client_ip)).with_sent_id(head).request_id == "chosen")


def test_without_trusted_proxies_no_id_is_looked_for() -> None:
    """Then requests pay nothing for it."""
    assert resolver(ClientIp.PEER).takes_ids
    assert not resolver(ClientIp.PROXY_PROTOCOL).takes_ids
    assert not ClientResolver(ClientIp.PEER, (), "http://app.example.com").takes_ids
