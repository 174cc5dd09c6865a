"""TLS to servers: contexts from files, made anew when the files change."""

import logging
import ssl
from collections.abc import Sequence
from typing import NamedTuple

from gateway.util.file_stamp import Stamp, stamp

_log = logging.getLogger(__name__)


class UnusableTlsFiles(ValueError):
    """Files for TLS that are missing, unreadable or do not fit; the message names them."""


class ClientTlsFiles(NamedTuple):
    """The files for TLS to a server; an empty name for none."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True


class ClientTls:
    """The TLS context for one server, made anew for new connections when its files change."""

    def __init__(self, files: ClientTlsFiles, alpn: Sequence[str] = ()) -> None:
        """Load ``files``. Raises `UnusableTlsFiles`. ``alpn`` names the protocols (RFC 7301)."""
        self._files = files
        self._alpn = alpn
        try:
            self._stamps = self._stamp()
            self._context = self._load()
        except (OSError, ValueError) as error:
            raise UnusableTlsFiles(_why(error, files)) from error

    def context(self) -> ssl.SSLContext:
        """Return the current context; files that cannot be used are ignored, with a warning."""
        try:
            stamps = self._stamp()
            if stamps != self._stamps:
                self._stamps = stamps
                self._context = self._load()
        except (OSError, ValueError) as error:
            _log.warning(
                "TLS files not reloaded, the old ones stay in use: %s", _why(error, self._files)
            )
        return self._context

    def _stamp(self) -> list[Stamp]:
        return [stamp(path) for path in filter(None, self._files[:3])]

    def _load(self) -> ssl.SSLContext:
        ca, certificate, key, verify = self._files
        context = ssl.create_default_context(cafile=ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._alpn:
            context.set_alpn_protocols(list(self._alpn))
        if certificate:
            context.load_cert_chain(certificate, key or None)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _why(error: Exception, files: ClientTlsFiles) -> str:
    """Describe an error with the files: the library does not name the one it could not read."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return f"{reason} ({', '.join(filter(None, files[:3]))})"
