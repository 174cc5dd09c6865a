"""
Holders of a client certificate that send it with junk, again and again: memory stays.

HANDSHAKES says how often, and REPLACEMENTS how often the files change. TLS 1.2 without tickets:
OpenSSL would keep each chain in its cache of sessions, 126 KB for 72 KB of certificates.
"""

import asyncio
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.proxy.downstream.tls import CertificateFiles
from tests.fakes.certificates import Authority
from tests.fakes.http import connected
from tests.fakes.servers import eventually
from tests.fakes.world import World, world

HANDSHAKES = int(os.environ.get("HANDSHAKES", "3000"))
AT_ONCE = 8
REPLACEMENTS = int(os.environ.get("REPLACEMENTS", "20"))
"""After each come 50 handshakes."""
JUNK_BYTES = 17_500
"""Of each of four certificates: 72 KB with the leaf."""
MAX_GROWTH_BYTES = 20 << 20

GET = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def _junk(authority: Authority, name: str) -> bytes:
    """A certificate that is no part of any chain."""
    own = x509.load_pem_x509_certificate(authority.file.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(JUNK_BYTES))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
        .add_extension(filler, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _with_junk(authority: Authority) -> CertificateFiles:
    pair = authority.issue("job.example", file="job")
    with Path(pair.certificate).open("ab") as file:
        file.writelines(_junk(authority, f"junk {number}") for number in range(4))
    return pair


async def _handshakes(around: World, client: ssl.SSLContext, times: int) -> None:
    left = iter(range(times))

    async def some() -> None:
        for _ in left:
            async with connected(around.port, client) as connection:
                assert 200 == (await (await connection.send(GET)).answer()).status

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(some())


async def test_handshakes_leave_no_memory(tmp_path: Path) -> None:
    """Neither do thousands of sessions, nor the contexts of files that were replaced."""
    authority, clients = Authority(tmp_path, "ca"), Authority(tmp_path, "clients")
    pair = authority.issue("localhost", file="server")
    tls = f"{{certificate: {pair.certificate}, key: {pair.key}, client_ca: {clients.file}}}"
    client = ssl.create_default_context(cafile=authority.file)
    client.load_cert_chain(*_with_junk(clients))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.options |= ssl.OP_NO_TICKET
    async with world(tmp_path, more_server=f"  tls: {tls}\n") as around:
        await _handshakes(around, client, 200)
        before = around.gateway.resident_bytes()
        await _handshakes(around, client, HANDSHAKES)
        after = around.gateway.resident_bytes()
        for _ in range(REPLACEMENTS):
            around.gateway.messages.clear()
            authority.issue("localhost", file="server")
            await around.gateway.said("TLS files reloaded")
            await _handshakes(around, client, 50)
        await eventually(lambda: _has_let_go(around), within_s=20)
        replaced = around.gateway.resident_bytes()
    megabytes = [f"{size / 1e6:.0f}" for size in (before, after, replaced)]
    print(f"{HANDSHAKES} handshakes, {REPLACEMENTS} replacements: resident MB {megabytes}")  # noqa: T201
    assert after - before < MAX_GROWTH_BYTES
    assert replaced - before < MAX_GROWTH_BYTES


async def _has_let_go(around: World) -> bool:
    return around.gateway.clients() == 0
