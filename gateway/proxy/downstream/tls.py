"""
TLS with clients: contexts are made from files, and made anew when the files change.

The context in use is replaced as a whole, and only by one that loaded without an error: a
certificate without its key, or an empty CA file, changes nothing. So a file can never switch off
verification (CVE-2026-54762, CVE-2026-27586).
"""

import asyncio
import logging
import ssl
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

from cryptography import x509

from gateway.core.errors import StartError
from gateway.proxy.downstream.accepted import TlsConnection
from gateway.util.file_stamp import Stamp, stamp_if_there

_CHECK_EVERY_S = 1.0
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: only forward secrecy and AEAD (RFC 9325 section 4.2); TLS 1.3 has only such."""

_log = logging.getLogger(__name__)


ChooseCertificate = Callable[[ssl.SSLObject, str | None, ssl.SSLContext], None]
"""Gives a connection the context with the certificate for a server name."""


class CertificateFiles(NamedTuple):
    """The files of a certificate chain and of its key; both PEM."""

    certificate: str
    key: str


class ServerTlsFiles(NamedTuple):
    """The files of a TLS context."""

    pairs: tuple[CertificateFiles, ...]
    """The first one is for clients that send no server name, or an unknown one."""
    client_ca: str | None
    """CA of client certificates; if None, clients are not asked for one."""
    clients_may_do_without: bool = False
    """Whether a client certificate is optional; an invalid one is always refused."""


class ServerTls:
    """Holds the context for the next handshake."""

    def __init__(self, files: ServerTlsFiles) -> None:
        """Load ``files``. Raises `StartError` if a file cannot be used."""
        self.files = files
        self._stamp = _stamp(files)
        self._last_error = ""
        self.context = server_context(files)
        """See `server_context`."""
        self.ends_s = certificate_ends_s(files)
        """When the certificates in use end, by their file, in Unix time."""
        self._is_shaking_hands = False
        """Whether a handshake with the context is under way."""

    def begin(self) -> ssl.SSLContext:
        """
        Return the context for a handshake that begins now.

        Where clients show certificates, each context serves one session that needs its cache, or
        any number of sessions that need none, one after the other: see `_front`.
        """
        if self.files.client_ca is not None:
            if self._is_shaking_hands or self.context.session_stats()["number"]:
                self.context = _renewed(self.context, self.files)
            self._is_shaking_hands = True
        return self.context

    def done(self, context: ssl.SSLContext) -> None:
        """Note that the handshake that began with ``context`` is done."""
        if context is self.context:
            self._is_shaking_hands = False

    def reload_if_changed(self) -> None:
        """Read the files again if they have changed; log an error if they cannot be used."""
        stamp = _stamp(self.files)
        if stamp == self._stamp:
            return
        try:
            self.context = server_context(self.files)
            self.ends_s = certificate_ends_s(self.files)
        except StartError as error:
            # The old stamp stays: a pair that is being replaced is complete a moment later.
            if str(error) != self._last_error:
                self._last_error = str(error)
                _log.error("TLS files not reloaded, the old ones stay in use: %s", error)
            return
        self._stamp, self._last_error = stamp, ""
        _log.info("TLS files reloaded")


async def watch(current: Callable[[], ServerTls | None]) -> None:
    """Reload the files of ``current`` when they change, until cancelled."""
    while True:
        await asyncio.sleep(_CHECK_EVERY_S)
        try:
            if tls := current():
                tls.reload_if_changed()
        except Exception:  # noqa: BLE001 (the certificate in use stays, whatever the error)
            _log.exception("checking the TLS files failed")


def server_context(files: ServerTlsFiles) -> ssl.SSLContext:
    """Make a context for handshakes. Raises `StartError` that names the file at fault."""
    contexts = [_context(pair, files) for pair in files.pairs]
    if len(contexts) == 1 and files.client_ca is None:
        return contexts[0]
    by_name: dict[str, ssl.SSLContext] = {}
    for pair, context in zip(files.pairs, contexts, strict=True):
        for name in names_in(pair.certificate):
            by_name.setdefault(name, context)
    return _front(_by_name(contexts[0], by_name), files)


def _front(choose: ChooseCertificate, files: ServerTlsFiles) -> ssl.SSLContext:
    """
    Make a context without a certificate, which begins handshakes; ``choose`` gives them one.

    OpenSSL keeps sessions of TLS 1.2 without tickets in the context that the handshake began with:
    20 480 of them, each with the whole chain that the client has sent, up to 100 KB. It cannot be
    told not to. So this context is replaced, without reading a file, and its cache is freed with
    the last connection that began with it.
    """
    context = _bare_context()
    if files.client_ca is not None:
        context.verify_mode = _verify_mode(files)
    context.sni_callback = choose
    return context


def _renewed(front: ssl.SSLContext, files: ServerTlsFiles) -> ssl.SSLContext:
    return _front(cast("ChooseCertificate", front.sni_callback), files)


def _bare_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = TlsConnection
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _context(pair: CertificateFiles, files: ServerTlsFiles) -> ssl.SSLContext:
    context = _bare_context()
    try:
        # With an empty password OpenSSL does not ask for one at the terminal.
        context.load_cert_chain(pair.certificate, pair.key, password="")
    except (OSError, ValueError) as error:
        raise StartError(
            f"{pair.certificate}, {pair.key}: no certificate and key that fit: {_why(error)}"
        ) from error
    if files.client_ca is not None:
        context.verify_mode = _verify_mode(files)
        _load_authorities(context, files.client_ca)
    return context


def _verify_mode(files: ServerTlsFiles) -> ssl.VerifyMode:
    return ssl.CERT_OPTIONAL if files.clients_may_do_without else ssl.CERT_REQUIRED


def _load_authorities(context: ssl.SSLContext, client_ca: str) -> None:
    try:
        context.load_verify_locations(client_ca)
    except (OSError, ValueError) as error:
        raise StartError(f"{client_ca}: no certificates of a CA: {_why(error)}") from error
    if not context.cert_store_stats()["x509_ca"]:
        raise StartError(f"{client_ca}: no certificates of a CA")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "malformed").lower().replace("_", " ")
    return getattr(error, "strerror", None) or type(error).__name__


# --- server name indication --------------------------------------------------------------------


def _by_name(first: ssl.SSLContext, by_name: Mapping[str, ssl.SSLContext]) -> ChooseCertificate:
    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """
        Give ``connection`` the certificate for ``name``, and the CA of client certificates.

        Whether one is required stays as it was when the connection was made; it is the same in all
        contexts.
        """
        found = None if name is None else find(by_name, name)
        connection.context = first if found is None else found

    return choose


def ignore_malformed_names(unraisable: "sys.UnraisableHookArgs") -> None:
    """
    Ignore the error of a server name that is not ASCII; a `sys.unraisablehook`.

    Python refuses the handshake by itself, and would write a traceback for each: any client could
    fill the log.
    """
    is_name = isinstance(unraisable.object, bytes)
    if not (is_name and isinstance(unraisable.exc_value, UnicodeDecodeError)):
        sys.__unraisablehook__(unraisable)


def find(by_name: Mapping[str, ssl.SSLContext], name: str) -> ssl.SSLContext | None:
    """Return the entry for ``name``, or for its wildcard: a star is one label (RFC 6125)."""
    name = name.lower()
    return by_name.get(name) or by_name.get(f"*.{name.partition('.')[2]}")


def certificate_ends_s(files: ServerTlsFiles) -> Mapping[str, float]:
    """
    Return when the first certificate to end in each file does. Raises `StartError`.

    A client that is sent one that has ended in the chain may refuse it.
    """
    return {pair.certificate: _first_end_s(pair.certificate) for pair in files.pairs}


def _first_end_s(certificate: str) -> float:
    return min(each.not_valid_after_utc.timestamp() for each in _chain(certificate))


def _chain(certificate: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(Path(certificate).read_bytes())
    except (OSError, ValueError) as error:
        raise StartError(f"{certificate}: no readable certificate") from error


def names_in(certificate: str) -> Iterable[str]:
    """
    Return the names in the first certificate of the file, which is the server's own.

    Raises `StartError`.
    """
    try:
        found = _chain(certificate)[0]
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    except ValueError as error:
        raise StartError(f"{certificate}: no readable certificate") from error
    return [name.lower() for name in alternatives.value.get_values_for_type(x509.DNSName)]


# --- changes -----------------------------------------------------------------------------------


def _stamp(files: ServerTlsFiles) -> list[Stamp | None]:
    """Return stamps that differ when a file, or a link on its path, was replaced or written."""
    paths = [path for pair in files.pairs for path in pair]
    return [stamp_if_there(path) for path in (*paths, *filter(None, [files.client_ca]))]
