"""How an app is told where a request came from."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.route import Auth, Route
from gateway.headers.forwarded import ForwardedFields, forwarding_lines
from gateway.headers.request import IdentityNames, RequestFields
from gateway.routing.client_address import UNIX_PEER, client_at
from tests.fakes.heads import WRITTEN, read_lines, request_head

COOKIE = "__Host-session"
HOST = "app.example.com"
CLIENT = client_at(ip_address("203.0.113.9"))
PUBLIC = Route("public", "/*", "app", auth=Auth.NONE)


@pytest.mark.parametrize(
    ("host", "expected"), [("a:", "a"), ("[::1]:", "[::1]"), ("a:80", "a:80"), ("a", "a")]
)
def test_an_empty_port_is_left_out(host: str, expected: str) -> None:
    """In all fields alike: an app that refuses the colon alone serves the request."""
    lines = forwarding_lines(ForwardedFields.BOTH, True, host, "192.0.2.1", "http", "", False)
    assert lines.startswith(f"Host: {expected}\r\n".encode())
    assert f'host="{expected}";'.encode() in lines
    assert f"X-Forwarded-Host: {expected}\r\n".encode() in lines


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (ForwardedFields.BOTH, WRITTEN),
        (ForwardedFields.FORWARDED, [line for line in WRITTEN if not line[0].startswith("X-F")]),
        (ForwardedFields.X_FORWARDED, [line for line in WRITTEN if line[0] != "Forwarded"]),
    ],
)
def test_the_config_chooses_the_fields(
    forwarded: ForwardedFields, expected: list[tuple[str, str]]
) -> None:
    """X-Forwarded fields, the one of RFC 7239, or both; never what the client sent as such."""
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST, forwarded)
    lies = request_head(("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "6.6.6.6"), host=HOST)
    assert expected == read_lines(rewriter.rewrite(lies, PUBLIC, CLIENT, "https", None))


@pytest.mark.parametrize(
    ("client", "host", "expected"),
    [
        pytest.param("192.0.2.1", "a.b", 'for=192.0.2.1;host="a.b";proto=http', id="ipv4"),
        pytest.param(
            "2001:db8::1", "[::1]:80", 'for="[2001:db8::1]";host="[::1]:80";proto=http', id="ipv6"
        ),
        pytest.param("2001:db8::", "a", 'for="[2001:db8::]";host="a";proto=http', id="ipv6-end"),
        pytest.param("192.0.2.1", 'a"b', r'for=192.0.2.1;host="a\"b";proto=http', id="a-quote"),
        pytest.param(
            "192.0.2.1",
            'x\\";for="6.6.6.6',
            r'for=192.0.2.1;host="x\\\";for=\"6.6.6.6";proto=http',
            id="injection",
        ),
    ],
)
def test_forwarded_is_quoted(client: str, host: str, expected: str) -> None:
    """A Host that would end its quotes stays inside them (GHSA-4jgr-pg2m-m988)."""
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST)
    block = rewriter.rewrite(
        request_head(host=host), PUBLIC, client_at(ip_address(client)), "http", None
    )
    assert expected == dict(read_lines(block))["Forwarded"]


def test_a_client_of_a_unix_socket_is_unknown() -> None:
    """It has no address to tell (RFC 7239 section 6.2)."""
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST)
    said = dict(
        read_lines(rewriter.rewrite(request_head(), PUBLIC, client_at(UNIX_PEER), "http", None))
    )
    assert "unknown" == said["X-Forwarded-For"]
    assert said["Forwarded"].startswith("for=unknown;")


@pytest.mark.parametrize(
    ("hidden_prefix", "rewrites_host", "writes_via", "expected"),
    [
        ("", False, True, ["Host: a.b", "Via: 1.1 gateway"]),
        ("", True, True, ["Via: 1.1 gateway"]),
        ("", False, False, ["Host: a.b"]),
        ("", True, False, []),
        ("/api", False, True, ["Host: a.b", "Via: 1.1 gateway", "X-Forwarded-Prefix: /api"]),
    ],
)
def test_lines_before_the_request_id(
    hidden_prefix: str, rewrites_host: bool, writes_via: bool, expected: list[str]
) -> None:
    """Host is left to the connection where the route rewrites it; the request's id comes last."""
    block = forwarding_lines(
        ForwardedFields.FORWARDED,
        writes_via,
        "a.b",
        "192.0.2.1",
        "http",
        hidden_prefix,
        rewrites_host,
    ).decode()
    last = ['Forwarded: for=192.0.2.1;host="a.b";proto=http', "X-Request-Id: "]
    assert [*expected, *last] == block.split("\r\n")


_HOSTS = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), min_size=1).filter(
    lambda host: not host.endswith(":")  # of a port that is left empty: see above
)
_CLIENTS = st.ip_addresses().map(lambda address: client_at(address).text) | st.just("unix:")


@given(st.sampled_from(ForwardedFields), _HOSTS, st.lists(_CLIENTS, min_size=2, max_size=4))
def test_a_client_is_named_in_its_own_places_alone(
    forwarded: ForwardedFields, host: str, clients: list[str]
) -> None:
    """Whatever the host holds, and whichever client was named there before."""
    quoted = host.replace("\\", "\\\\").replace('"', '\\"')
    for client in clients:
        name = "unknown" if client == "unix:" else client
        node = f'"[{name}]"' if ":" in name else name
        x_forwarded = [
            f"X-Forwarded-For: {name}",
            "X-Forwarded-Proto: https",
            f"X-Forwarded-Host: {host}",
        ]
        expected = [
            f"Host: {host}",
            *([f'Forwarded: for={node};host="{quoted}";proto=https'] * (forwarded[0] != "x")),
            *(x_forwarded * (forwarded != "forwarded")),
            "X-Request-Id: ",
        ]
        block = forwarding_lines(forwarded, False, host, client, "https", "", False)
        assert expected == block.decode("latin-1").split("\r\n")


@pytest.mark.parametrize("writes_via", [True, False])
def test_a_request_names_the_gateway_unless_the_config_says_no(writes_via: bool) -> None:
    """Apps that compress nothing for a proxy need not know of this one."""
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST, writes_via=writes_via)
    client = client_at(UNIX_PEER)
    block = rewriter.rewrite(request_head(), PUBLIC, client, "http", None)
    assert writes_via is ("Via" in dict(read_lines(block)))
