"""
Where the gateway listens: an address, a unix socket, or a socket that somebody else has opened.

Parsers raise `ValueError` that says what was expected, never what was found.
"""

import re
from typing import Annotated, NamedTuple

from pydantic import PlainSerializer, WithJsonSchema

from gateway.config.addresses import HostPort, is_loopback, listen
from gateway.config.units import of_text

_MAX_PATH_BYTES = 107
"""Of ``sun_path`` (unix(7)), whose last byte ends it."""

_DESCRIPTOR = re.compile(r"(?:[3-9]|[1-9][0-9]{1,4})")  # 0 to 2 are the standard streams
_NAME = re.compile(r"[!-9;-~]{1,255}")  # FileDescriptorName= of systemd.socket(5): no colon


class UnixPath(NamedTuple):
    """A unix socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class InheritedDescriptor(NamedTuple):
    """A listening socket that the process was started with."""

    number: int

    def __str__(self) -> str:
        return f"fd:{self.number}"


class ActivatedSocket(NamedTuple):
    """The sockets that systemd passes on (sd_listen_fds(3)): those of a name, or all."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}" if self.name else "systemd"


ListenAddress = HostPort | UnixPath | InheritedDescriptor | ActivatedSocket


def place(text: str) -> ListenAddress:
    """
    ``host:port``, ``unix:/path``, ``fd:N``, ``systemd`` or ``systemd:NAME``.

    Raises `ValueError`.
    """
    kind, _, rest = text.partition(":")
    match kind:
        case "unix":
            return UnixPath(_path(rest))
        case "fd" if _DESCRIPTOR.fullmatch(rest):
            return InheritedDescriptor(int(rest))
        case "systemd" if text == "systemd" or _NAME.fullmatch(rest):
            return ActivatedSocket(rest)
        case "fd" | "systemd":
            raise ValueError("expected fd:N from 3 up, systemd, or systemd:NAME")
    return listen(text)


def _path(text: str) -> str:
    if not text.startswith("/") or "\0" in text or text.endswith("/"):
        raise ValueError("expected unix:/path of a socket")
    if len(text.encode()) > _MAX_PATH_BYTES:
        raise ValueError(f"a unix socket's path has {_MAX_PATH_BYTES} bytes at most")
    return text


def is_private(where: ListenAddress) -> bool:
    """Whether it can be seen that only this machine can reach ``where``."""
    if isinstance(where, HostPort):
        return is_loopback(where.host)
    return isinstance(where, UnixPath)


ListenPlace = Annotated[
    ListenAddress,
    of_text(place),
    PlainSerializer(str),
    WithJsonSchema(
        {"type": "string", "examples": ["0.0.0.0:8080", "[::]:8080", "unix:/run/gateway.sock"]}
    ),
]
"""Where to listen."""
