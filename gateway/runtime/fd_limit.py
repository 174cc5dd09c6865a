"""Raise the limit of file descriptors: each connection takes one, and the default is 1024."""

import logging
import resource

from gateway.config.schema import Settings

_SPARE = 200
"""For files, the store, listening sockets, and the gateway's own pages."""

_log = logging.getLogger("gateway")


def raise_fd_limit(settings: Settings) -> None:
    """
    Raise this process's limit to what ``server.max.connections`` may take, as far as it may go.

    A client may keep a connection to an app busy, so each counts twice. A warning is logged where
    there is not even one descriptor for each connection.
    """
    connections = settings.server.max.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = max(soft, 2 * connections + _SPARE)
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    if granted < connections + _SPARE:
        _log.warning(
            "server.max.connections is %d, and the system gives %d file descriptors (ulimit -Hn)",
            connections,
            granted,
        )
