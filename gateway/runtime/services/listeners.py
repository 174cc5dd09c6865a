"""Build the listening sockets and the options of the listeners: TLS, and the PROXY protocol."""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from gateway.config.schema import Settings
from gateway.config.server import AdminTlsSettings, TlsSettings
from gateway.core.errors import StartError
from gateway.proxy.downstream import bind
from gateway.proxy.downstream.accept import ListenerOptions
from gateway.proxy.downstream.socket_activation import take
from gateway.proxy.downstream.tls import CertificateFiles, ServerTls, ServerTlsFiles
from gateway.routing.client_address import ClientIp


def bind_all(settings: Settings, *, reuse_port: bool = False) -> tuple[socket.socket, ...]:
    """
    Bind all addresses of ``server.listen``.

    The sockets are to be closed by `close_all`. Raises `StartError`.
    """
    passed = take(os.environ, os.getpid())
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        undo.callback(close_all, sockets)
        for address in settings.server.listen:
            with naming_key("server.listen"):
                sockets += bind.bind(address, passed=passed, reuse_port=reuse_port)
        undo.pop_all()
    return tuple(sockets)


@contextmanager
def naming_key(key: str) -> Iterator[None]:
    """Name the key of the config in a `StartError`."""
    try:
        yield
    except StartError as error:
        raise StartError(f"{key}: {error}") from error


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close what `bind_all` has opened."""
    for sock in sockets:
        bind.close(sock)


def listener_options(settings: Settings, before: ListenerOptions | None) -> ListenerOptions:
    """
    Build the options that new connections are accepted with.

    TLS contexts of ``before`` stay in use where the config names the same files. Raises
    `StartError` where a file of TLS cannot be used.
    """
    files = server_files(settings.server.tls)
    tls = before.tls if before else None
    if files is None:
        tls = None
    elif tls is None or tls.files != files:
        tls = ServerTls(files)
    else:
        tls.reload_if_changed()
    return ListenerOptions(
        tls, has_proxy_header=ClientIp(settings.server.client_ip) is ClientIp.PROXY_PROTOCOL
    )


def server_files(tls: TlsSettings | None) -> ServerTlsFiles | None:
    """List the files of TLS with clients; None without TLS."""
    if tls is None:
        return None
    pairs = [CertificateFiles(entry.certificate, entry.key) for entry in tls.certificates]
    if tls.certificate is not None and tls.key is not None:
        pairs.insert(0, CertificateFiles(tls.certificate, tls.key))
    return ServerTlsFiles(tuple(pairs), tls.client_ca, tls.client_auth == "optional")


def admin_files(section: AdminTlsSettings) -> ServerTlsFiles:
    """List the files of TLS on the private listener; what has no certificate is answered."""
    pair = CertificateFiles(section.certificate, section.key)
    return ServerTlsFiles((pair,), section.client_ca, clients_may_do_without=True)
