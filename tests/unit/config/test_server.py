"""Sections ``server`` and ``admin``: defaults, and values that are refused."""

from collections.abc import Callable

import pytest

from gateway.config.addresses import HostPort
from gateway.config.schema import Settings
from gateway.config.server import AdminSettings, ServerCaps, ServerTimeouts

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]


def server(more: str) -> str:
    """A section with these keys beside the required one."""
    return f"server: {{public_url: 'https://a.example', {more}}}"


def test_defaults(read: Read) -> None:
    """Only the public URL has no default."""
    settings = read("server: {public_url: 'https://a.example'}").server
    assert settings.listen == (HostPort("0.0.0.0", 8080),)
    assert (settings.workers, settings.prefix, settings.tls) == (1, "/_gateway", None)
    assert (settings.trusted_proxies, settings.client_ip, settings.forwarded) == (
        (),
        "peer",
        "both",
    )
    assert settings.via
    assert settings.timeouts == ServerTimeouts()
    assert settings.max == ServerCaps()


def test_limits_on_clients(read: Read) -> None:
    """Sizes are in bytes, times in seconds."""
    settings = read(
        server(
            "max: {head_bytes: 8KiB, body: 1MiB, fields: 50, tunnels: 7},"
            " timeouts: {min_rate: 1KiB, drain_delay: 250ms}"
        )
    ).server
    assert (settings.max.head_bytes, settings.max.body_bytes) == (8192, 1 << 20)
    assert (settings.max.fields, settings.max.tunnels) == (50, 7)
    assert (settings.timeouts.min_rate_bytes, settings.timeouts.drain_delay_s) == (1024, 0.25)


def test_tls_requires_client_certificates_once_a_ca_is_given(read: Read) -> None:
    """Optional client certificates have to be asked for."""
    tls = read(server("tls: {certificate: /c, key: /k, client_ca: /ca}")).server.tls
    assert tls is not None
    assert (tls.client_ca, tls.client_auth) == ("/ca", "required")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("workers: -1", "server.workers: expected auto, or a whole number from 1 to 256"),
        ("max: {body: 0}", "server.max.body: expected a size"),
        ("max: {connections: 0}", "server.max.connections: expected a whole number"),
        ("timeouts: {head: 0}", "server.timeouts.head: expected a duration"),
        ("timeouts: {drain_delay: }", "server.timeouts.drain_delay: expected a value"),
        ("prefix: /", "server.prefix: expected a path such as /_gateway"),
        ("trusted_proxies: [proxy]", "server.trusted_proxies[0]: expected a network"),
        ("forwarded: none", "server.forwarded: expected 'both', 'x-forwarded' or 'forwarded'"),
        (
            "tls: {certificate: /c, key: /k, client_auth: maybe}",
            "server.tls.client_auth: expected 'required' or 'optional'",
        ),
        (
            "tls: {certificates: [{certificate: /c}]}",
            "server.tls.certificates[0].key: required",
        ),
    ],
)
def test_invalid_values(complaints: Complain, more: str, problem: str) -> None:
    """Each is reported with its key."""
    (found,) = complaints(server(more))
    assert found.startswith(f"gateway.yaml:1: {problem}")


def test_the_private_listener_is_on_loopback_by_default(read: Read) -> None:
    """Without a token, it answers this machine alone."""
    assert read("").admin == AdminSettings()
    assert AdminSettings().listen == HostPort("127.0.0.1", 9090)
    assert AdminSettings().hosts == ()


def test_names_of_the_private_listener_are_normalised(read: Read) -> None:
    """They are compared with ``Host`` in lower case."""
    admin = read("admin: {hosts: [Admin.Internal, '[0::1]']}").admin
    assert admin is not None
    assert admin.hosts == ("admin.internal", "::1")
