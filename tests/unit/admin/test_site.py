"""Connections to the private listener."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import h11
import pytest
from aiohttp import web

from gateway.admin.site import PrivateSite
from gateway.config.addresses import HostPort
from gateway.config.listen import UnixPath
from gateway.proxy.downstream import bind
from gateway.proxy.downstream.tls import CertificateFiles, ServerTls, ServerTlsFiles
from tests.fakes.certificates import Authority, serial_in, serial_of
from tests.fakes.http import connected, fetch


async def _hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=request.scheme)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who issues all certificates."""
    return Authority(tmp_path, "ca")


@pytest.fixture
def pair(authority: Authority) -> CertificateFiles:
    """The certificate of the listener."""
    return authority.issue("localhost", file="server")


@asynccontextmanager
async def _site(tls: ServerTls | None) -> AsyncIterator[int]:
    [sock] = bind.bind(HostPort("127.0.0.1", 0))
    server = web.Server(_hello)
    site = PrivateSite([sock], server, tls)
    await site.start()
    try:
        yield bind.port_of(sock)
    finally:
        await site.close()
        await server.shutdown(0.1)
        bind.close(sock)


def _client(authority: Authority, own: CertificateFiles | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    if own is not None:
        context.load_cert_chain(*own)
    return context


async def test_over_tcp_and_tls(authority: Authority, pair: CertificateFiles) -> None:
    """Answers are the same."""
    async with _site(None) as port:
        assert b"http" == (await fetch(port, "GET", "/")).body
    async with _site(ServerTls(ServerTlsFiles((pair,), None))) as port:
        assert b"https" == (await fetch(port, "GET", "/", tls=_client(authority))).body


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    """Its owner and group may connect."""
    [sock] = bind.bind(UnixPath(str(tmp_path / "a.sock")))
    server = web.Server(_hello)
    site = PrivateSite([sock], server)
    await site.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "a.sock"))
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"\r\n\r\nhttp")
    writer.close()
    await site.close()
    await server.shutdown(0.1)
    bind.close(sock)


def _break(pair: CertificateFiles) -> None:
    Path(pair.key).write_text("broken")


async def test_a_renewed_certificate_is_used_from_the_next_connection_on(
    authority: Authority, pair: CertificateFiles
) -> None:
    """Without a restart; a pair that does not fit changes nothing."""
    tls = ServerTls(ServerTlsFiles((pair,), str(authority.file), clients_may_do_without=True))
    client = _client(authority)

    async def shown(port: int) -> int:
        async with connected(port, client) as asked:
            connection = asked.writer.get_extra_info("ssl_object")
            return serial_of(connection.getpeercert(binary_form=True))

    async with _site(tls) as port:
        first = serial_in(pair.certificate)
        assert first == await shown(port)
        renewed = authority.issue("localhost", file="server")
        tls.reload_if_changed()
        assert first != serial_in(renewed.certificate) == await shown(port)
        _break(renewed)
        tls.reload_if_changed()
        assert serial_in(renewed.certificate) == await shown(port)


async def test_a_client_that_is_refused_is_named_in_the_log(
    authority: Authority,
    pair: CertificateFiles,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of another authority: in plain words, once a second; those that fit are served."""
    stranger = Authority(tmp_path, "other").issue("ada@example.com", file="stranger")
    tls = ServerTls(ServerTlsFiles((pair,), str(authority.file), clients_may_do_without=True))
    caplog.set_level(logging.INFO)
    async with _site(tls) as port:
        for _ in range(2):
            with pytest.raises((OSError, h11.RemoteProtocolError)):
                await fetch(port, "GET", "/", tls=_client(authority, stranger))
        own = authority.issue("ada@example.com", file="ada")
        for each in (own, None):
            assert 200 == (await fetch(port, "GET", "/", tls=_client(authority, each))).status
    [said] = [record.getMessage() for record in caplog.records if "TLS" in record.getMessage()]
    assert said.startswith("private listener: no TLS with 127.0.0.1: its certificate was refused")


async def test_plain_http_is_told_that_tls_is_spoken(pair: CertificateFiles) -> None:
    """Other bytes get no answer, and neither keeps others out."""
    async with _site(ServerTls(ServerTlsFiles((pair,), None))) as port:
        answer = await fetch(port, "GET", "/")
        assert (400, b"This listener speaks TLS: use https.\n") == (answer.status, answer.body)
        async with connected(port), connected(port) as other:  # one that says nothing
            await other.send(b"GET / HTTP/1.1\r\n\r\n")
            assert b"400" in (await other.reader.readline())


async def test_clients_that_say_nothing_keep_no_operator_out(
    authority: Authority, pair: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handshake that began first makes room for a new one; those that are done go on."""
    monkeypatch.setattr("gateway.admin.site._MAX_HANDSHAKES", 3)
    async with _site(ServerTls(ServerTlsFiles((pair,), None))) as port, AsyncExitStack() as stack:
        done = await stack.enter_async_context(connected(port, _client(authority)))
        silent = [await stack.enter_async_context(connected(port)) for _ in range(3)]
        async with asyncio.timeout(9):  # a handshake may take ten seconds
            assert 200 == (await fetch(port, "GET", "/", tls=_client(authority))).status
            assert await silent[0].is_closed()
            await done.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert 200 == (await done.answer()).status
        await silent[2].send(b"GET / HTTP/1.1\r\n\r\n")
        assert 400 == (await silent[2].answer()).status
