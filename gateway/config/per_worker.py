"""Division of the gateway's caps among its workers."""

from typing import TypeVar

from gateway.config.schema import Settings
from gateway.config.section import Section

S = TypeVar("S", bound=Section)


def share(settings: Settings, workers: int) -> Settings:
    """
    Return the settings of one of ``workers`` processes.

    Caps on connections are divided and rounded up, so that every worker has a share. The kernel
    does not spread connections evenly: one worker may reach its share before the gateway reaches
    the whole. The connections of one client are few, and spread even less evenly: workers count
    them together, see `gateway.proxy.downstream.shared_counts`.
    """
    whole = settings.server.max
    caps = _with(whole, connections=_share(whole.connections, workers))
    upstreams = {
        name: _with(
            entry,
            connections=_share(entry.connections, workers),
            max_in_flight=entry.max_in_flight and _share(entry.max_in_flight, workers),
        )
        for name, entry in settings.upstreams.items()
    }
    server = _with(settings.server, max=caps)
    return _with(settings, server=server, upstreams=upstreams)


def _share(whole: int, workers: int) -> int:
    return -(-whole // workers)


def _with(section: S, **changes: object) -> S:
    return section.model_copy(update=changes)
