"""
The rival: nginx with Lua, which does the same job; see ``nginx_lua/gateway.lua``.

`make bench-peers` unpacks it beside the system, below ``benchmarks/build``.
"""

import grp
import os
import pwd
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from benchmarks.build import HERE, NotHere

UNPACKED = HERE / "build" / "nginx-lua"
"""Where `make bench-peers` unpacks the packages."""
FILES = HERE / "nginx_lua"


class Fields(Enum):
    """What writes the fields of a forwarded request; the value is a file of `FILES`."""

    NGINX = "fields_by_nginx.conf"
    LUA = "fields_by_lua.conf"


class Nginx(NamedTuple):
    """The files of an nginx that was unpacked beside the system."""

    program: Path
    modules: Path
    libraries: tuple[Path, ...]
    """Directories of LuaJIT, and of libraries that the system may lack."""
    lua: Path
    lua_libraries: Path


class RivalPlaces(NamedTuple):
    """Ports and files of the rival."""

    directory: Path
    log: Path
    port: int
    tls_port: int
    """TLS without authentication."""
    upstream_port: int
    store_socket: Path
    certificate: Path
    key: Path
    fields: Fields = Fields.NGINX
    fresh_s: float = 0.0
    """How long it keeps a session in its own memory; 0: it asks the store in each request."""


def unpacked(root: Path = UNPACKED) -> Nginx:
    """Find nginx and its modules below ``root``. Raises `NotHere`."""
    program = root / "usr" / "sbin" / "nginx"
    luajit = next(root.glob("usr/lib/*/libluajit-5.1.so.2"), None)
    if luajit is None or not program.exists():
        raise NotHere("nginx with Lua was not unpacked: make bench-peers")
    return Nginx(
        program,
        root / "usr" / "lib" / "nginx" / "modules",
        (luajit.parent, root / "lib" / luajit.parent.name),
        root / "usr" / "share" / "lua" / "5.1",
        luajit.parent / "lua" / "5.1",
    )


def rival_config(places: RivalPlaces, nginx: Nginx) -> str:
    """Write the config of nginx; all its files are below ``places.directory``."""
    words = {
        **{name: str(value) for name, value in places._asdict().items()},
        "fields": str(FILES / places.fields.value),
        "here": str(FILES),
        "lua": str(nginx.lua),
        "lua_libraries": str(nginx.lua_libraries),
        "modules": str(nginx.modules),
        "store": str(places.store_socket),
        "trusted": "127.0.0.1",
        "user": _user(),
    }
    text = (FILES / "nginx.conf").read_text("utf-8")
    for name, value in words.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def _user() -> str:
    """User and group of the worker: those of this process, so that it reaches the store."""
    return f"{pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"


def rival_command(nginx: Nginx, config: Path) -> tuple[str | Path, ...]:
    """Name the command that serves by ``config`` in the foreground."""
    path = ":".join(map(str, nginx.libraries))
    return (
        "env",
        f"LD_LIBRARY_PATH={path}",
        nginx.program,
        "-e",
        "stderr",
        "-p",
        config.parent,
        "-c",
        config,
    )
