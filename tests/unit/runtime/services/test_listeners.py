"""Sockets and TLS of the listeners."""

import socket
from pathlib import Path

import pytest

from gateway.core.errors import StartError
from gateway.proxy.downstream.accept import ListenerOptions
from gateway.runtime.services.listeners import bind_all, close_all, listener_options
from tests.fakes.certificates import Authority
from tests.fakes.services import settings_of


def test_all_addresses_or_none(tmp_path: Path) -> None:
    """Where one cannot be bound, its key is told, and the sockets of the others are closed."""
    path = tmp_path / "gw.sock"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = settings_of(server=f'listen: ["unix:{path}", "127.0.0.1:{port}"]')
        with pytest.raises(StartError, match=f"^server.listen: .*:{port}: "):
            bind_all(settings)
    assert not path.exists()


def test_sockets_are_closed_with_their_files(tmp_path: Path) -> None:
    """A unix socket leaves no file behind."""
    path = tmp_path / "gw.sock"
    sockets = bind_all(settings_of(server=f'listen: ["unix:{path}"]'))
    assert path.exists()
    close_all(sockets)
    assert (False, [-1]) == (path.exists(), [sock.fileno() for sock in sockets])


def test_without_tls() -> None:
    """A PROXY header comes first where the client's address is read from it."""
    assert ListenerOptions() == listener_options(settings_of(), None)
    proxied = 'client_ip: proxy-protocol, trusted_proxies: ["10.0.0.0/8"]'
    assert listener_options(settings_of(server=proxied), None).has_proxy_header


def test_tls_contexts_outlive_a_reload(tmp_path: Path) -> None:
    """As long as the config names the same files; without them, there is no TLS."""
    authority = Authority(tmp_path)
    one, other = authority.issue("a.example", file="one"), authority.issue("a.example", file="two")

    def options(certificate: str, key: str, before: ListenerOptions | None) -> ListenerOptions:
        tls = f"tls: {{certificate: {certificate}, key: {key}}}"
        return listener_options(settings_of(server=tls), before)

    first = options(*one, None)
    assert first.tls is not None
    assert first.tls is options(*one, first).tls
    assert first.tls is not options(*other, first).tls
    assert listener_options(settings_of(), first).tls is None


def test_a_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    """The gateway does not start, or goes on with the old one."""
    tls = f"tls: {{certificate: {tmp_path}/none.pem, key: {tmp_path}/none.key}}"
    with pytest.raises(StartError):
        listener_options(settings_of(server=tls), None)
