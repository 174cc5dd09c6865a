"""TLS contexts from files."""

import errno
import os
import ssl
from pathlib import Path

import pytest

from gateway.util.client_tls import ClientTls, ClientTlsFiles, UnusableTlsFiles
from tests.fakes.certificates import Authority


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(
            ClientTlsFiles(ca="absent.pem"),
            f"{os.strerror(errno.ENOENT)}.*absent.pem",
            id="no-file",
        ),
        pytest.param(ClientTlsFiles(ca="junk.pem"), "junk.pem", id="no-authority"),
        pytest.param(
            ClientTlsFiles(certificate="junk.pem", key="junk.pem"), "junk", id="no-certificate"
        ),
        pytest.param(
            ClientTlsFiles(certificate="one.crt", key="two.key"), "two.key", id="not-its-key"
        ),
    ],
)
def test_tls_files_that_cannot_be_used(tmp_path: Path, files: ClientTlsFiles, message: str) -> None:
    """The error says which files they are."""
    ca = Authority(tmp_path)
    ca.issue("one")
    ca.issue("two")
    (tmp_path / "junk.pem").write_text("junk")
    paths = [str(tmp_path / name) if name else "" for name in files[:3]]
    with pytest.raises(UnusableTlsFiles, match=message):
        ClientTls(ClientTlsFiles(paths[0], paths[1], paths[2]))


def test_tls_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    """Not for each connection; what cannot be used changes nothing."""
    ca = Authority(tmp_path)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(ca.file.read_bytes())
    tls = ClientTls(ClientTlsFiles(ca=str(trusted)))
    first = tls.context()
    assert first is tls.context()
    assert (ssl.CERT_REQUIRED, True) == (first.verify_mode, first.check_hostname)
    trusted.write_text("junk")
    assert first is tls.context()
    trusted.unlink()
    assert first is tls.context()
    trusted.write_bytes(Authority(tmp_path, "other").file.read_bytes())
    os.utime(trusted, (1, 1))
    second = tls.context()
    assert first is not second is tls.context()


def test_a_server_is_always_verified_unless_told_not_to_be() -> None:
    """By the system's authorities where none is named."""
    context = ClientTls(ClientTlsFiles()).context()
    assert (ssl.CERT_REQUIRED, True) == (context.verify_mode, context.check_hostname)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    context = ClientTls(ClientTlsFiles(verify=False)).context()
    assert (ssl.CERT_NONE, False) == (context.verify_mode, context.check_hostname)
