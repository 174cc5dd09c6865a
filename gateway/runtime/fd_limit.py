"""File descriptors: a connection takes one, and a process is given 1024 unless it asks."""

import logging
import resource

from gateway.config.schema import Settings

_SPARE = 200
"""For files, the store, listening sockets, and the gateway's own pages."""

_log = logging.getLogger("gateway")


def raise_fd_limit(settings: Settings) -> None:
    """
    Raise this process's limit to what ``server.max.connections`` may take, as far as it may go.

    A client may keep a connection to an app busy, so each counts twice; where not even one is to be
    had for each, that is logged.
    """
    connections = settings.server.max.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = max(soft, 2 * connections + _SPARE)
    given = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard))
    if given < connections + _SPARE:
        _log.warning(
            "server.max.connections is %d, and the system gives %d file descriptors (ulimit -Hn)",
            connections,
            given,
        )
