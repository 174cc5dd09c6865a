"""Hosts, listen addresses, origins, networks, the URL of the store."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import addresses
from gateway.config.addresses import HostPort, ServerAddress
from gateway.routing.client_address import UNIX_PEER, network_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0.0.0.0:8080", HostPort("0.0.0.0", 8080), id="all-of-ipv4"),
        pytest.param("[::]:8080", HostPort("::", 8080), id="all-of-ipv6"),
        pytest.param("[0:0::1]:80", HostPort("::1", 80), id="ipv6-in-its-shortest-form"),
        pytest.param("LocalHost:0", HostPort("localhost", 0), id="a-name-and-any-free-port"),
        pytest.param(
            "_app.internal:65535", HostPort("_app.internal", 65535), id="the-highest-port"
        ),
    ],
)
def test_listen(text: str, expected: HostPort) -> None:
    """A listen address is a host and a port, normalised."""
    assert expected == addresses.listen(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("8080", id="a-port-alone"),
        pytest.param(":8080", id="no-host-is-not-every-host"),
        pytest.param("0.0.0.0", id="no-port"),
        pytest.param("0.0.0.0:65536", id="no-such-port"),
        pytest.param("0.0.0.0:+80", id="a-signed-port"),
        pytest.param("::1:80", id="ipv6-without-brackets"),
        pytest.param("[::1]x:80", id="something-after-the-brackets"),
        pytest.param("[127.0.0.1]:80", id="ipv4-in-brackets"),
        pytest.param("[fe80::1%eth0]:80", id="a-zone"),
        pytest.param("256.0.0.1:80", id="no-such-address"),
        pytest.param("127.1:80", id="a-short-form-that-resolvers-expand"),
        pytest.param("0x7f.1:80", id="a-hexadecimal-form-that-resolvers-expand"),
        pytest.param("app_.example.com.:80", id="a-trailing-dot"),
        pytest.param("-app:80", id="a-leading-hyphen"),
        pytest.param("http://app:80", id="a-url"),
    ],
)
def test_no_listen_address(text: str) -> None:
    """An address that could be misread is refused."""
    with pytest.raises(ValueError, match="expected host:port such as"):
        addresses.listen(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("https://app.example.com", "https://app.example.com", id="as-it-is"),
        pytest.param("https://App.Example.COM/", "https://app.example.com", id="case-and-slash"),
        pytest.param("HTTPS://app.example.com:443", "https://app.example.com", id="https-port"),
        pytest.param("http://localhost:80", "http://localhost", id="http-port"),
        pytest.param("http://localhost:443", "http://localhost:443", id="the-other-ones-port"),
        pytest.param("http://[0::1]:8080", "http://[::1]:8080", id="ipv6"),
        pytest.param("https://[::1]/", "https://[::1]", id="ipv6-without-port"),
    ],
)
def test_origin(text: str, expected: str) -> None:
    """An origin is written as browsers write it in Origin, so that the two can be compared."""
    assert expected == addresses.origin(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("app.example.com", id="no-scheme"),
        pytest.param("ftp://app.example.com", id="another-scheme"),
        pytest.param("https://app.example.com/app", id="a-path"),
        pytest.param("https://app.example.com?x", id="a-query"),
        pytest.param("https://app.example.com#x", id="a-fragment"),
        pytest.param("https://me:pw@app.example.com", id="credentials"),
        pytest.param("https://app.example.com:0", id="port-zero"),
        pytest.param("https://app.example.com\n", id="a-newline"),
        pytest.param("https://bücher.example", id="not-in-ascii"),
        pytest.param("https://", id="no-host"),
    ],
)
def test_no_origin(text: str) -> None:
    """An origin is scheme, host and port, and nothing else."""
    with pytest.raises(ValueError, match="expected an origin"):
        addresses.origin(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("", None), ("http://localhost:1", "http://localhost:1")]
)
def test_optional_origin(text: str, expected: str | None) -> None:
    """Empty text, which an unset variable gives, is no origin and no error."""
    assert expected == addresses.optional_origin(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "http://127.0.0.1:3000", ServerAddress("http", "127.0.0.1", 3000), id="host-port"
        ),
        pytest.param("http://app", ServerAddress("http", "app", 80), id="the-port-of-http"),
        pytest.param("HTTP://App:080", ServerAddress("http", "app", 80), id="another-spelling"),
        pytest.param(
            "http://[::1]:3000/", ServerAddress("http", "::1", 3000), id="ipv6-and-a-slash"
        ),
        pytest.param("https://app", ServerAddress("https", "app", 443), id="the-port-of-https"),
        pytest.param("unix:/run/a.sock", ServerAddress("unix", "", 0, "/run/a.sock"), id="unix"),
    ],
)
def test_server(text: str, expected: ServerAddress) -> None:
    """An app is found at a host and a port, or at a socket."""
    assert expected == addresses.server(text)
    assert expected == addresses.server(str(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://app:3000", "app:3000"),
        ("http://app:80", "app"),
        ("https://app:443", "app"),
        ("https://app:80", "app:80"),
        ("http://[::1]", "[::1]"),
        ("http://[::1]:81", "[::1]:81"),
        ("unix:/run/app.sock", "localhost"),
    ],
)
def test_authority(text: str, expected: str) -> None:
    """``Host`` leaves out the default port of the scheme; a unix socket is ``localhost``."""
    assert expected == addresses.server(text).authority


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("app:3000", id="no-scheme"),
        pytest.param("ftp://app", id="another-scheme"),
        pytest.param("http://app:3000/api", id="a-path"),
        pytest.param("https://user@app", id="userinfo"),
        pytest.param("http://app:0", id="any-port"),
        pytest.param("unix:", id="no-socket"),
        pytest.param("unix:run/app.sock", id="a-relative-socket"),
        pytest.param("unix:/run/app\0.sock", id="a-control-character"),
        pytest.param(f"unix:/{'a' * 107}", id="a-path-that-is-too-long"),
    ],
)
def test_no_server(text: str) -> None:
    """Text that is no address of a server is refused with the forms that are."""
    with pytest.raises(ValueError, match="expected http://host:port, https://host:port or unix:/"):
        addresses.server(text)


@given(
    st.one_of(
        st.ip_addresses().filter(lambda ip: "%" not in str(ip)).map(str),
        st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,5})?", fullmatch=True),
    ),
    st.integers(1, 65535),
)
def test_addresses_are_read_as_they_are_written(host: str, port: int) -> None:
    """Writing and reading gives the same address."""
    address = HostPort(host, port)
    assert address == addresses.listen(str(address))
    server = ServerAddress("http", *address)
    assert server == addresses.server(str(server))
    assert addresses.origin(f"http://{address}") == addresses.origin(
        addresses.origin(f"http://{address}")
    )


@pytest.mark.parametrize(("text", "expected"), [("[::0:1]", "[::1]"), ("App", "app")])
def test_host_field(text: str, expected: str) -> None:
    """The host of a route is written as in ``Host``, with the brackets of IPv6."""
    assert expected == addresses.host_field(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("App", "app"), ("[::0:1]", "[::1]"), ("*.Example.com", "*.example.com"), ("*.com", "*.com")],
)
def test_route_host(text: str, expected: str) -> None:
    """A route names a host, or all subdomains of one."""
    assert expected == addresses.route_host(text)


@pytest.mark.parametrize(
    "text", ["*", "*.", "a.*.com", "*a.com", "*.*.com", "*.192.0.2.1", "*.[::1]", "**.com", ".com"]
)
def test_no_route_host(text: str) -> None:
    """A star is the first label alone, and addresses have no subdomains."""
    with pytest.raises(ValueError, match="expected"):
        addresses.route_host(text)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.1", "fd00::/8", "::1"])
def test_network(text: str) -> None:
    """A network is a CIDR; an address alone is a network of one."""
    assert ip_network(text) == addresses.network(text)
    assert addresses.network(text) == addresses.network(network_text(addresses.network(text)))


def test_unix_sockets_are_a_network() -> None:
    """The network of unix sockets contains no IP address."""
    assert "unix:" == network_text(addresses.network("unix:"))
    assert UNIX_PEER in addresses.network("unix:")
    assert ip_address("::1") not in addresses.network("unix:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("0.0.0.0/0", "a /0 network", id="all-of-ipv4"),
        pytest.param("::/0", "a /0 network", id="all-of-ipv6"),
        pytest.param("10.0.0.1/0", "a /0 network", id="all-of-ipv4-from-some-address"),
        pytest.param("10.0.0.1/8", "bits set beyond its /8", id="an-address-and-a-length"),
        pytest.param("10.0.0.0/33", "expected a network", id="no-such-length"),
        pytest.param("", "expected a network", id="nothing"),
        pytest.param("proxy.internal", "expected a network", id="a-name"),
    ],
)
def test_no_network(text: str, message: str) -> None:
    """A network of all addresses, or one that does not mean what it looks like, is refused."""
    with pytest.raises(ValueError, match=message):
        addresses.network(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_is_loopback(host: str, expected: bool) -> None:
    """Loopback is 127.0.0.0/8, ::1 and localhost, and no name that looks like it."""
    assert addresses.is_loopback(host) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8080", True),
        ("http://[::1]", True),
        ("https://localhost", False),
        ("http://app.example.com", False),
    ],
)
def test_is_loopback_http(url: str, expected: bool) -> None:
    """A development gateway is reached over http on this machine."""
    assert addresses.is_loopback_http(url) is expected


@pytest.mark.parametrize(
    "text",
    [
        "redis://127.0.0.1",
        "redis://:secret@redis.internal:6379/0",
        "rediss://default:secret@name.upstash.io:6379",
        "redis://[::1]:6379",
        "redis+sentinel://:secret@h1:26379,[::1]:26379,h3/main/0",
        "rediss+sentinel://h1,h2,h3/main",
        "redis+cluster://127.0.0.1:7000,127.0.0.1:7001",
        "rediss+cluster://user:secret@h1,[::1]:7001/0?ssl_ca_certs=/ca.pem",
        "unix:///run/redis.sock",
        "embedded://",
        "embedded:///var/lib/gateway",
        "upstash+https://name.upstash.io",
        "upstash+https://name.upstash.io/",
        "upstash+http://127.0.0.1:8079",
    ],
)
def test_redis_url(text: str) -> None:
    """The URL of the store is kept as it is, and hidden."""
    url = addresses.redis_url(text)
    assert text == url.get_secret_value()
    assert "secret" not in repr(url)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("127.0.0.1:6379", id="no-scheme"),
        pytest.param("redis://", id="no-host"),
        pytest.param("redis://h:x", id="a-port-that-is-none"),
        pytest.param("redis://h:0", id="port-zero"),
        pytest.param("redis://ann:12/secret@h:6379/0", id="a-password-with-a-slash"),
        pytest.param("redis+sentinel://ann:12/secret@h/0", id="the-same-for-sentinels"),
        pytest.param("redis://[::1", id="a-bracket-left-open"),
        pytest.param("redis+cluster://", id="no-node"),
        pytest.param("redis+cluster://h1,", id="a-node-without-a-host"),
        pytest.param("redis+cluster://h1:0", id="a-port-zero-of-a-node"),
        pytest.param("redis+cluster://h1,h2/1", id="a-database-of-a-cluster"),
        pytest.param("unix://", id="no-path"),
        pytest.param("embedded://dir", id="a-directory-that-would-be-a-host"),
        pytest.param("redis+sentinel://h1,h2", id="no-name-of-a-primary"),
        pytest.param("redis+sentinel://h1,/main", id="a-sentinel-without-host"),
        pytest.param("redis+sentinel://h1:0/main", id="a-sentinel-at-port-zero"),
        pytest.param("redis+sentinel://h1/main/x", id="a-database-without-number"),
        pytest.param("https://name.upstash.io", id="a-rest-api-without-its-mark"),
        pytest.param("upstash+http://name.upstash.io", id="a-token-in-plain-text"),
        pytest.param("upstash+https://t@name.upstash.io", id="a-token-in-the-url"),
        pytest.param("upstash+https://name.upstash.io/get", id="a-path-of-a-rest-api"),
        pytest.param("upstash+https://name.upstash.io?_token=t", id="a-query-of-a-rest-api"),
        pytest.param("upstash+https://", id="no-host-of-a-rest-api"),
    ],
)
def test_no_redis_url(text: str) -> None:
    """A URL that names no store is refused with what was expected."""
    with pytest.raises(ValueError, match=r"expected redis://"):
        addresses.redis_url(text)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://app.example.com", "https://b.example.com/x"),
        ("http://localhost:8080", "http://b.example.com:8080/x"),
        ("http://[::1]:8080", "http://b.example.com:8080/x"),
        ("http://[::1]", "http://b.example.com/x"),
    ],
)
def test_urls_on_other_hosts(origin: str, expected: str) -> None:
    """They have the scheme and the port of the public URL."""
    assert expected == addresses.url_on(origin, "b.example.com", "/x")
