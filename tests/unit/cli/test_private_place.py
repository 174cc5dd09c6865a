"""Where the private listener is, for commands."""

import socket
import ssl
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from gateway.cli.private_place import PrivateAddress, address_of, private_address, url_of
from gateway.config.addresses import HostPort
from gateway.config.listen import UnixPath
from tests.fakes.certificates import Authority

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a:9090/", PrivateAddress("http://a:9090")),
        ("https://a/b", PrivateAddress("https://a/b")),
        ("unix:/run/a.sock", PrivateAddress("http://localhost", "/run/a.sock")),
    ],
)
def test_an_address_that_an_operator_gives(url: str, expected: PrivateAddress) -> None:
    """It is shown as it was given."""
    address = private_address(url)
    assert expected == address
    assert url.rstrip("/") == address.text


@pytest.mark.parametrize(
    "url", ["", "a:9090", "ftp://a", "http://", "http://a:x", "unix:a", "unix:"]
)
def test_what_is_no_address(url: str) -> None:
    """The message says what one looks like."""
    with pytest.raises(ValueError, match="https://HOST:PORT or unix:/path"):
        private_address(url)


def test_the_address_of_a_config() -> None:
    """TLS is known by the one certificate of the config."""
    place = HostPort("0.0.0.0", 9090)
    assert PrivateAddress("http://127.0.0.1:9090") == address_of(place)
    assert PrivateAddress("https://127.0.0.1:9090", "", "a.pem") == address_of(place, "a.pem")
    assert "unix:/run/a.sock" == address_of(UnixPath("/run/a.sock")).text


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:9090"),
        ("0.0.0.0", "http://127.0.0.1:9090"),
        ("::", "http://[::1]:9090"),
        ("fd00::1", "http://[fd00::1]:9090"),
        ("localhost", "http://localhost:9090"),
    ],
)
def test_where_a_listener_is_reached(host: str, expected: str) -> None:
    """One on all addresses by loopback."""
    assert expected == url_of(HostPort(host, 9090))


def _answers_once(listening: socket.socket, tls: ssl.SSLContext | None = None) -> Thread:
    def answer() -> None:
        sock, _ = listening.accept()
        with (
            suppress(ssl.SSLError),  # a client may refuse the certificate
            sock,
            tls.wrap_socket(sock, server_side=True) if tls else sock as client,
        ):
            client.recv(1024)
            client.sendall(ANSWER)

    thread = Thread(target=answer, daemon=True)
    thread.start()
    return thread


def _body(address: PrivateAddress) -> bytes:
    connection = address.connection(5)
    connection.request("GET", "/healthz")
    try:
        return connection.getresponse().read()
    finally:
        connection.close()


def test_a_unix_socket_is_asked(tmp_path: Path) -> None:
    """By HTTP."""
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        thread = _answers_once(listening)
        assert b"ok" == _body(private_address(f"unix:{path}"))
        thread.join()


def test_a_listener_with_tls_is_known_by_its_certificate(tmp_path: Path) -> None:
    """Whatever name it is asked by; the system need not trust who issued it."""
    pair = Authority(tmp_path).issue("gateway.internal", file="server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = HostPort("127.0.0.1", listening.getsockname()[1])
        thread = _answers_once(listening, context)
        assert b"ok" == _body(address_of(place, pair.certificate))
        thread.join()


def test_another_certificate_of_its_authority_is_not_that_of_the_listener(tmp_path: Path) -> None:
    """The file has the chain behind the certificate; who is in the chain has signed others, too."""
    authority = Authority(tmp_path)
    pair, other = authority.issue("gateway.internal", file="server"), authority.issue("other")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(Path(pair.certificate).read_bytes() + authority.file.read_bytes())
    for shown, is_known in ((pair, True), (other, False)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*shown)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = address_of(HostPort("127.0.0.1", listening.getsockname()[1]), str(chain))
            thread = _answers_once(listening, context)
            if is_known:
                assert b"ok" == _body(address)
            else:
                with pytest.raises(ssl.SSLCertVerificationError):
                    _body(address)
            thread.join()


def test_a_file_without_a_certificate_cannot_be_read(tmp_path: Path) -> None:
    """As one that is not there."""
    file = tmp_path / "a.pem"
    for text in (None, b"", b"\xff", b"-----BEGIN CERTIFICATE-----\n"):
        if text is not None:
            file.write_bytes(text)
        with pytest.raises(OSError, match=r".+"):
            address_of(HostPort("127.0.0.1", 1), str(file)).tls()
