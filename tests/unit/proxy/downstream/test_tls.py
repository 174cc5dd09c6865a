"""What TLS is made of, and when it is made anew."""

import errno
import gc
import os
import ssl
import time
import weakref
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.core.errors import StartError
from gateway.proxy.downstream.tls import (
    CertificateFiles,
    ServerTls,
    ServerTlsFiles,
    find,
    server_context,
)
from tests.fakes.certificates import Authority, serial_in, serial_of


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who issues the server's certificates."""
    return Authority(tmp_path, "ca")


@pytest.fixture
def pair(authority: Authority) -> CertificateFiles:
    """A certificate for localhost."""
    return authority.issue("localhost", file="server")


def handshake(
    server: ssl.SSLContext,
    *,
    name: str = "localhost",
    own: CertificateFiles | None = None,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    takes_tickets: bool = True,
) -> ssl.SSLObject:
    """The client's side of a handshake with ``server``, in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    if not takes_tickets:
        context.options |= ssl.OP_NO_TICKET
    context.set_alpn_protocols(["h2", "http/1.1"])
    if own:
        context.load_cert_chain(*own)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(back, there, server_hostname=name)
    ours = server.wrap_bio(there, back, server_side=True)
    waiting = [client.do_handshake, ours.do_handshake]
    for _ in range(10):
        for step in tuple(waiting):
            try:
                step()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(step)
    assert not waiting
    with suppress(ssl.SSLWantReadError):
        ours.unwrap()  # what ends without a close_notify cannot be resumed
    return client


def shown(server: ssl.SSLContext, name: str = "localhost") -> int:
    """The serial number of the certificate that a client of ``name`` sees."""
    return serial_of(handshake(server, name=name).getpeercert(binary_form=True))


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_protocol_versions(pair: CertificateFiles, newest: ssl.TLSVersion) -> None:
    """TLS 1.2 and 1.3 with AEAD ciphers; HTTP/1.1 among the protocols on offer."""
    client = handshake(server_context(ServerTlsFiles((pair,), None)), newest=newest)
    assert newest.name.replace("_", ".") == (client.version() or "")[:7]
    cipher = (client.cipher() or ("",))[0]
    assert "GCM" in cipher or "CHACHA20" in cipher
    assert "http/1.1" == client.selected_alpn_protocol()
    assert client.compression() is None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_refused(pair: CertificateFiles) -> None:
    """TLS 1.1 and before are broken (RFC 8996)."""
    with pytest.raises(ssl.SSLError):
        handshake(server_context(ServerTlsFiles((pair,), None)), newest=ssl.TLSVersion.TLSv1_1)


# --- names ----------------------------------------------------------------------------------------


def test_the_certificate_is_chosen_by_name(authority: Authority, pair: CertificateFiles) -> None:
    """The first one is the default; a star stands for one label."""
    b, star = (
        authority.issue("B.example", "10.0.0.1", file="b"),
        authority.issue("*.c.example", file="star"),
    )
    nameless = authority.issue(file="nameless")
    context = server_context(ServerTlsFiles((pair, b, star, nameless), None))
    assert serial_in(pair.certificate) == shown(context)
    assert serial_in(b.certificate) == shown(context, "b.example")
    assert serial_in(b.certificate) == shown(context, "B.EXAMPLE")
    assert serial_in(star.certificate) == shown(context, "x.c.example")
    for name in ("c.example", "y.x.c.example", "other.example", "10.0.0.1"):
        assert serial_in(pair.certificate) == shown(context, name)


def test_a_name_in_two_certificates_is_the_first_ones(
    authority: Authority, pair: CertificateFiles
) -> None:
    """The order of the config decides."""
    second = authority.issue("localhost", file="second")
    assert serial_in(pair.certificate) == shown(
        server_context(ServerTlsFiles((pair, second), None))
    )


def test_names_are_found() -> None:
    """Whole, or with a star in place of the first label."""
    one, star = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = {"a.example": one, "*.example": star}
    assert one is find(names, "A.example")
    assert star is find(names, "b.example")
    assert find(names, "example") is None
    assert find(names, "") is None


# --- clients' certificates ----------------------------------------------------------------------


def served(files: ServerTlsFiles, own: CertificateFiles | None, name: str = "localhost") -> bool:
    """Whether a client with its ``own`` certificate gets through."""
    try:
        handshake(server_context(files), own=own, name=name)
    except ssl.SSLError:
        return False
    return True


def test_clients_must_show_a_certificate(
    tmp_path: Path, authority: Authority, pair: CertificateFiles
) -> None:
    """One of the right authority, for any server name."""
    stranger = Authority(tmp_path, "stranger").issue(file="mallory")
    friend, second = authority.issue(file="alice"), authority.issue("b.example", file="b")
    files = ServerTlsFiles((pair, second), str(authority.file))
    for name in ("localhost", "b.example"):
        assert served(files, friend, name)
        assert not served(files, stranger, name)
        assert not served(files, None, name)


def test_clients_may_do_without_a_certificate(
    tmp_path: Path, authority: Authority, pair: CertificateFiles
) -> None:
    """If the config says so; a certificate of another CA is refused all the same."""
    stranger = Authority(tmp_path, "stranger").issue(file="mallory")
    friend, second = authority.issue(file="alice"), authority.issue("b.example", file="b")
    files = ServerTlsFiles((pair, second), str(authority.file), clients_may_do_without=True)
    for name in ("localhost", "b.example"):
        assert served(files, friend, name)
        assert not served(files, stranger, name)
        assert served(files, None, name)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param("no certificate\n", id="something-else"),
        pytest.param(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", id="malformed"
        ),
    ],
)
def test_a_ca_file_without_a_ca_is_refused(
    tmp_path: Path, authority: Authority, pair: CertificateFiles, content: str | None
) -> None:
    """A CA file without a CA is an error; it does not switch verification off."""
    path = tmp_path / "clients.crt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StartError, match=r"clients\.crt: no certificates of a CA"):
        server_context(ServerTlsFiles((pair,), str(path)))


def test_a_certificate_that_is_no_ca_is_refused(pair: CertificateFiles) -> None:
    """A leaf in the place of a CA is a mistake."""
    with pytest.raises(StartError, match="no certificates of a CA"):
        server_context(ServerTlsFiles((pair,), pair.certificate))


# --- faults -------------------------------------------------------------------------------------


def test_files_that_do_not_fit(
    tmp_path: Path, authority: Authority, pair: CertificateFiles
) -> None:
    """The files are named, and what is wrong with them; nothing is asked at the terminal."""
    other = authority.issue("localhost", file="other")
    locked = tmp_path / "locked.key"
    locked.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"
    )
    for broken, why in (
        (CertificateFiles(pair.certificate, other.key), "key values mismatch"),
        (CertificateFiles(pair.certificate, str(locked)), "no certificate and key that fit"),
        (CertificateFiles(pair.certificate, str(tmp_path / "nowhere")), os.strerror(errno.ENOENT)),
        (CertificateFiles(pair.key, pair.key), "no certificate and key that fit"),
    ):
        with pytest.raises(StartError, match=why):
            server_context(ServerTlsFiles((broken,), None))


# --- changes ------------------------------------------------------------------------------------


def test_a_certificate_that_is_replaced_is_used(
    authority: Authority, pair: CertificateFiles
) -> None:
    """From the next handshake on; without a change nothing is made anew."""
    tls = ServerTls(ServerTlsFiles((pair,), None))
    first = tls.context
    tls.reload_if_changed()
    assert tls.context is first
    authority.issue("localhost", file="server")
    tls.reload_if_changed()
    assert serial_in(pair.certificate) == shown(tls.context)


def test_a_link_that_is_swapped_is_a_change(tmp_path: Path, authority: Authority) -> None:
    """As Kubernetes and certbot replace certificates: all files at one time."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
    one = Authority(tmp_path / "1", "ca").issue("localhost", file="tls")
    two = Authority(tmp_path / "2", "ca").issue("localhost", file="tls")
    (tmp_path / "data").symlink_to("1")
    tls = ServerTls(
        ServerTlsFiles(
            (CertificateFiles(f"{tmp_path}/data/tls.crt", f"{tmp_path}/data/tls.key"),), None
        )
    )
    assert serial_in(one.certificate) == shown(tls.context)
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").rename(tmp_path / "data")
    tls.reload_if_changed()
    assert serial_in(two.certificate) == shown(tls.context)


def test_a_bad_file_changes_nothing(
    authority: Authority, pair: CertificateFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported once; when it is fixed, it is used."""
    tls = ServerTls(ServerTlsFiles((pair,), None))
    before = serial_in(pair.certificate)
    key = Path(pair.key).read_bytes()
    authority.issue("localhost", file="server")
    new_key = Path(pair.key).read_bytes()
    Path(pair.key).write_bytes(key)  # half of the pair is there
    tls.reload_if_changed()
    tls.reload_if_changed()
    assert before == shown(tls.context)
    assert 1 == sum("the old ones stay in use" in message for message in caplog.messages)
    Path(pair.key).write_bytes(new_key)
    tls.reload_if_changed()
    assert serial_in(pair.certificate) == shown(tls.context)


@pytest.mark.parametrize("content", ["", None, "junk"])
def test_a_bad_ca_does_not_open_the_door(
    authority: Authority, pair: CertificateFiles, content: str | None
) -> None:
    """Verification goes on with what was there (CVE-2026-54762)."""
    tls = ServerTls(ServerTlsFiles((pair,), str(authority.file)))
    friend = authority.issue(file="alice")
    if content is None:
        authority.file.unlink()
    else:
        authority.file.write_text(content)
    tls.reload_if_changed()
    assert ssl.CERT_REQUIRED is tls.context.verify_mode
    handshake(tls.context, own=friend)
    with pytest.raises(ssl.SSLError):
        handshake(tls.context)


# --- the cache of sessions ----------------------------------------------------------------------


@pytest.fixture
def asking(tmp_path: Path, pair: CertificateFiles) -> tuple[ServerTls, CertificateFiles]:
    """TLS that asks for certificates, and one that it accepts."""
    clients = Authority(tmp_path, "clients")
    tls = ServerTls(ServerTlsFiles((pair,), str(clients.file)))
    return tls, clients.issue("job.example", file="job")


def test_a_context_caches_one_session(asking: tuple[ServerTls, CertificateFiles]) -> None:
    """A session without tickets is cached with the client's chain: the context is used no more."""
    tls, own = asking
    first = tls.begin()
    handshake(first, own=own, newest=ssl.TLSVersion.TLSv1_2, takes_tickets=False)
    tls.done(first)
    assert 1 == first.session_stats()["number"]
    second = tls.begin()
    assert (False, 0) == (second is first, second.session_stats()["number"])
    gone = weakref.ref(first)
    gc.disable()
    try:
        del first
        assert gone() is None
    finally:
        gc.enable()


def test_sessions_with_tickets_share_a_context(asking: tuple[ServerTls, CertificateFiles]) -> None:
    """They can be resumed: the key of their tickets is the context's."""
    tls, own = asking
    contexts = []
    for _ in range(3):
        context = tls.begin()
        handshake(context, own=own)
        tls.done(context)
        contexts.append(context)
    assert [contexts[0]] * 3 == contexts


def test_handshakes_at_the_same_time_share_no_context(
    asking: tuple[ServerTls, CertificateFiles],
) -> None:
    """Which of them needs the cache is not known yet; one that fails is never done."""
    tls, _ = asking
    first, second = tls.begin(), tls.begin()
    assert first is not second
    tls.done(first)
    third = tls.begin()
    tls.done(third)
    assert (False, True) == (third is second, tls.begin() is third)


def test_one_context_serves_clients_without_certificates(pair: CertificateFiles) -> None:
    """What they send is never cached."""
    tls = ServerTls(ServerTlsFiles((pair,), None))
    assert tls.begin() is tls.begin()


@pytest.mark.parametrize("asks", [True, False])
def test_replaced_contexts_are_free_at_once(authority: Authority, asks: bool) -> None:
    """The contexts of files that were replaced need no collection, with several names either."""
    pairs = (authority.issue("a.example"), authority.issue("b.example"))
    tls = ServerTls(ServerTlsFiles(pairs, str(authority.file) if asks else None))
    gone = weakref.ref(tls.begin())
    authority.issue("a.example")
    gc.disable()
    try:
        tls.reload_if_changed()
        assert gone() is None
    finally:
        gc.enable()


def test_each_name_is_asked_for_a_certificate(tmp_path: Path, authority: Authority) -> None:
    """Also where the name chooses the certificate; a client without one gets in nowhere."""
    clients = Authority(tmp_path, "clients")
    own = clients.issue("job.example", file="job")
    pairs = (authority.issue("a.example"), authority.issue("b.example"))
    for name in ("a.example", "b.example", "unknown.example"):
        tls = ServerTls(ServerTlsFiles(pairs, str(clients.file)))
        expected = pairs[1] if name == "b.example" else pairs[0]
        shown_then = handshake(tls.begin(), name=name, own=own).getpeercert(binary_form=True)
        assert serial_in(expected.certificate) == serial_of(shown_then)
        stranger = authority.issue("stranger.example")
        for refused in (None, stranger):
            with pytest.raises(ssl.SSLError):
                handshake(tls.begin(), name=name, own=refused, newest=ssl.TLSVersion.TLSv1_2)


def test_when_a_certificate_ends_is_known(authority: Authority, tmp_path: Path) -> None:
    """By its file; of a chain, the first that ends counts, and a file that was replaced anew."""
    early, late = (
        authority.issue("localhost", file=name, days=days) for name, days in (("a", 3), ("b", 30))
    )
    chain = tmp_path / "chain.pem"
    chain.write_bytes(Path(late.certificate).read_bytes() + Path(early.certificate).read_bytes())
    pair = CertificateFiles(str(chain), late.key)
    tls = ServerTls(ServerTlsFiles((pair,), None))
    assert [str(chain)] == list(tls.ends_s)
    assert 2 < (tls.ends_s[str(chain)] - time.time()) / 86_400 <= 3
    chain.write_bytes(Path(late.certificate).read_bytes())
    os.utime(chain, (1, 1))
    tls.reload_if_changed()
    assert 29 < (tls.ends_s[str(chain)] - time.time()) / 86_400 <= 30
