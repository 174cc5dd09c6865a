"""Credentials for a server of the Redis protocol, from the config or from files that change."""

import logging
from pathlib import Path
from typing import NamedTuple

from redis import CredentialProvider

from gateway.core.errors import StartError
from gateway.util.file_stamp import Stamp, stamp_if_there

_LOOK_EVERY_S = 1.0

_log = logging.getLogger(__name__)


class LoginOptions(NamedTuple):
    """Where user name and password are: as text, or in files; all empty for no login."""

    username: str = ""
    password: str = ""
    username_file: str = ""
    password_file: str = ""


class Login(CredentialProvider):
    """
    Hands redis-py the credentials of each connection that it opens.

    Files are read again for each connection. A file that is missing or empty is logged, and what
    it held before is used.
    """

    def __init__(self, options: LoginOptions) -> None:
        """Read the files. Raises `StartError`, which names the file at fault."""
        self._options = options
        self._stamps = self._stamp()
        self._looked_at_s = 0.0
        try:
            self._current = _read(options)
        except (OSError, ValueError) as error:
            raise StartError(f"credentials of the store: {_why(error)}") from error
        self.version = 0
        """How many times the files were seen to have changed."""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return user name and password, or the password alone; for redis-py."""
        try:
            self._current = _read(self._options)
        except (OSError, ValueError) as error:
            _log.warning("credentials of the store not read, old ones are used: %s", _why(error))
        username, password = self._current
        return (username, password) if username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()

    def look(self, now_s: float) -> int:
        """Return the version of the credentials; looks at the files once a second at most."""
        if now_s - self._looked_at_s >= _LOOK_EVERY_S:
            self._looked_at_s = now_s
            stamps = self._stamp()
            if stamps != self._stamps:
                self._stamps = stamps
                self.version += 1
        return self.version

    def _stamp(self) -> list[Stamp | None]:
        named = filter(None, (self._options.username_file, self._options.password_file))
        return [stamp_if_there(path) for path in named]


def login_of(options: LoginOptions) -> Login | None:
    """Return what logs in; None where no credentials are given. Raises `StartError`."""
    return Login(options) if any(options) else None


def _read(options: LoginOptions) -> tuple[str, str]:
    """Return user name and password. Raises `OSError`, or `ValueError` that shows no text."""
    return (
        options.username or _text_in(options.username_file),
        options.password or _text_in(options.password_file),
    )


def _text_in(path: str) -> str:
    """Return the text of a file without the newline that editors add; no path, no text."""
    if not path:
        return ""
    try:
        text = Path(path).read_text("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not text in UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"{path}: empty")
    return text


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {(error.strerror or 'unreadable').lower()}"
    return str(error)
