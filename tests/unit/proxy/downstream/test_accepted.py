"""Who is at the other end."""

import socket

import pytest

from gateway.proxy.downstream.accepted import peer_at


@pytest.mark.parametrize(
    ("family", "name", "expected"),
    [
        pytest.param(socket.AF_INET, ("192.0.2.1", 4711), "192.0.2.1", id="ipv4"),
        pytest.param(socket.AF_INET6, ("2001:db8::1", 1, 0, 0), "2001:db8::1", id="ipv6"),
        pytest.param(socket.AF_INET6, ("::ffff:192.0.2.1", 1, 0, 0), "192.0.2.1", id="mapped"),
        pytest.param(socket.AF_INET6, ("fe80::1%eth0", 1, 0, 2), "fe80::1", id="a-zone"),
        pytest.param(socket.AF_UNIX, "", "unix:", id="a-unix-socket"),
        pytest.param(socket.AF_UNIX, "/run/client.sock", "unix:", id="a-unix-socket-with-a-name"),
        pytest.param(socket.AF_INET, None, None, id="gone-before-it-was-accepted"),
        pytest.param(socket.AF_INET, (), None, id="gone-as-the-loop-says-it"),
    ],
)
def test_peer_at(family: int, name: object, expected: str | None) -> None:
    """An address in canonical form; None if the connection is lost."""
    peer = peer_at(family, name)
    assert expected == (peer and peer.text)
