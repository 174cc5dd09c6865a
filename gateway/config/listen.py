"""
Listen addresses: TCP, a unix socket, an inherited descriptor, or sockets passed on by systemd.

The `ValueError` of a parser says what was expected and never shows the text.
"""

import re
from typing import Annotated, NamedTuple

from pydantic import PlainSerializer, WithJsonSchema

from gateway.config.addresses import HostPort, is_loopback, listen
from gateway.config.units import of_text

_MAX_PATH_BYTES = 107
"""Length of ``sun_path`` without its terminating zero (unix(7))."""

_DESCRIPTOR = re.compile(r"(?:[3-9]|[1-9][0-9]{1,4})")  # 0 to 2 are the standard streams
_NAME = re.compile(r"[!-9;-~]{1,255}")  # FileDescriptorName= of systemd.socket(5): no colon


class UnixPath(NamedTuple):
    """A unix socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class InheritedDescriptor(NamedTuple):
    """A listening socket that the process inherited from its parent."""

    number: int

    def __str__(self) -> str:
        return f"fd:{self.number}"


class ActivatedSocket(NamedTuple):
    """Sockets that systemd passes on (sd_listen_fds(3)): those of a name, or all if it is empty."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}" if self.name else "systemd"


ListenAddress = HostPort | UnixPath | InheritedDescriptor | ActivatedSocket


def listen_address(text: str) -> ListenAddress:
    """
    Parse ``host:port``, ``unix:/path``, ``fd:N``, ``systemd`` or ``systemd:NAME``.

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


def private_address(text: str) -> HostPort | UnixPath:
    """Parse ``host:port`` or ``unix:/path``. Raises `ValueError`."""
    kind, _, rest = text.partition(":")
    if kind == "unix":
        return UnixPath(_path(rest))
    try:
        return listen(text)
    except ValueError:
        raise ValueError("expected host:port such as 127.0.0.1:9090, or unix:/path") from None


def _path(text: str) -> str:
    if not text.startswith("/") or "\0" in text or text.endswith("/"):
        raise ValueError("expected unix:/path of a socket")
    if len(text.encode()) > _MAX_PATH_BYTES:
        raise ValueError(f"a unix socket's path has {_MAX_PATH_BYTES} bytes at most")
    return text


def is_private(address: ListenAddress) -> bool:
    """
    Whether only this machine can reach ``address``.

    False for sockets that other processes opened, as their addresses are not known here.
    """
    if isinstance(address, HostPort):
        return is_loopback(address.host)
    return isinstance(address, UnixPath)


ListenPlace = Annotated[
    ListenAddress,
    of_text(listen_address),
    PlainSerializer(str),
    WithJsonSchema(
        {"type": "string", "examples": ["0.0.0.0:8080", "[::]:8080", "unix:/run/gateway.sock"]}
    ),
]
"""A listen address of any kind."""

PrivatePlace = Annotated[
    HostPort | UnixPath,
    of_text(private_address),
    PlainSerializer(str),
    WithJsonSchema(
        {"type": "string", "examples": ["127.0.0.1:9090", "unix:/run/gateway/admin.sock"]}
    ),
]
"""Where the private listener listens: TCP, or a unix socket."""
