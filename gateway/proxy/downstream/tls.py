"""
TLS with clients: contexts made from files, and made anew when these change.

What is in use is replaced whole, and only by what was read without a fault: a certificate without
its key, or a CA file that is empty, changes nothing. So verification is never switched off by a
file (CVE-2026-54762, CVE-2026-27586).
"""

import asyncio
import logging
import ssl
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from gateway.core.errors import StartError
from gateway.util.file_stamp import Stamp, stamp_if_there

_LOOK_S = 1.0
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and AEAD alone (RFC 9325 section 4.2); TLS 1.3 has no others."""

_log = logging.getLogger(__name__)


class CertificateFiles(NamedTuple):
    """The files of a certificate, with those that vouch for it, and of its key; both PEM."""

    certificate: str
    key: str


class ServerTlsFiles(NamedTuple):
    """What TLS is made of."""

    pairs: tuple[CertificateFiles, ...]
    """The first one is for clients that name no host, or one that no other is for."""
    client_ca: str | None
    """Who vouches for clients; without it none is asked for a certificate."""
    clients_may_do_without: bool = False
    """Whether one that has no certificate is let in all the same; a bad one never is."""


class ServerTls:
    """The context for the next handshake."""

    def __init__(self, files: ServerTlsFiles) -> None:
        """Raise `StartError` where a file cannot be used."""
        self.files = files
        self._stamp = _stamp(files)
        self._complaint = ""
        self.context = server_context(files)

    def look(self) -> None:
        """Read the files again if they have changed; those that cannot be used are reported."""
        stamp = _stamp(self.files)
        if stamp == self._stamp:
            return
        try:
            self.context = server_context(self.files)
        except StartError as error:
            # The stamp stays the old one: a pair that is being replaced is whole a moment later.
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("TLS goes on with the old files: %s", error)
            return
        self._stamp, self._complaint = stamp, ""
        _log.info("TLS files read again")


async def watch(current: Callable[[], ServerTls | None]) -> None:
    """Look after the files of what is ``current``, without end."""
    while True:
        await asyncio.sleep(_LOOK_S)
        try:
            if tls := current():
                tls.look()
        except Exception:  # noqa: BLE001 (whatever it is, the certificate in use goes on)
            _log.exception("TLS files were not looked at")


def server_context(files: ServerTlsFiles) -> ssl.SSLContext:
    """A context for handshakes. Raises `StartError` that names the file at fault."""
    contexts = [_context(pair, files) for pair in files.pairs]
    first = contexts[0]
    if len(contexts) > 1:
        by_name: dict[str, ssl.SSLContext] = {}
        for pair, context in zip(files.pairs, contexts, strict=True):
            for name in _names(pair.certificate):
                by_name.setdefault(name, context)
        _choose_by_name(first, by_name)
    return first


def _context(pair: CertificateFiles, files: ServerTlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        # The empty password keeps OpenSSL from asking for one at the terminal.
        context.load_cert_chain(pair.certificate, pair.key, password="")
    except (OSError, ValueError) as error:
        raise StartError(
            f"{pair.certificate}, {pair.key}: no certificate and key that fit: {_why(error)}"
        ) from error
    if files.client_ca is not None:
        _verify_clients(context, files.client_ca)
        if files.clients_may_do_without:
            context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _verify_clients(context: ssl.SSLContext, client_ca: str) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
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


def _choose_by_name(first: ssl.SSLContext, by_name: Mapping[str, ssl.SSLContext]) -> None:
    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """
        Give ``connection`` the certificate for ``name``.

        What is asked of clients stays as ``first`` has it; it is the same in all.
        """
        if name is not None and (found := find(by_name, name)) is not None:
            connection.context = found

    first.sni_callback = choose


def pass_over_names(unraisable: "sys.UnraisableHookArgs") -> None:
    """
    A `sys.unraisablehook` that says nothing of host names that are no ASCII.

    Python refuses the handshake by itself, and would show a traceback in our log: anybody could
    fill it.
    """
    is_name = isinstance(unraisable.object, bytes)
    if not (is_name and isinstance(unraisable.exc_value, UnicodeDecodeError)):
        sys.__unraisablehook__(unraisable)


def find(by_name: Mapping[str, ssl.SSLContext], name: str) -> ssl.SSLContext | None:
    """The one for ``name``, or for all names beside it: a star is one label (RFC 6125)."""
    name = name.lower()
    return by_name.get(name) or by_name.get(f"*.{name.partition('.')[2]}")


def _names(certificate: str) -> Iterable[str]:
    """The names in the first certificate of the file, which is the server's own."""
    try:
        found = x509.load_pem_x509_certificates(Path(certificate).read_bytes())[0]
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    except (OSError, ValueError) as error:
        raise StartError(f"{certificate}: no readable certificate") from error
    return [name.lower() for name in alternatives.value.get_values_for_type(x509.DNSName)]


# --- changes -----------------------------------------------------------------------------------


def _stamp(files: ServerTlsFiles) -> list[Stamp | None]:
    """What differs when a file, or a link on the way to it, was replaced or written."""
    paths = [path for pair in files.pairs for path in pair]
    return [stamp_if_there(path) for path in (*paths, *filter(None, [files.client_ca]))]
