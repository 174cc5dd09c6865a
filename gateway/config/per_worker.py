"""One worker's part of what the config grants the whole gateway."""

from typing import TypeVar

from gateway.config.schema import Settings
from gateway.config.section import Section

S = TypeVar("S", bound=Section)


def share(settings: Settings, workers: int) -> Settings:
    """
    The settings of one of ``workers`` processes; the private listener is their supervisor's.

    Caps on connections are divided, and rounded up so that none has no part: where the kernel gives
    one worker more connections than another, that one's part is used up before the whole is. Those
    of one client are few and shared out less evenly: each worker lets it have twice its part.
    """
    caps = settings.server.max
    most = _with(
        caps,
        connections=_part(caps.connections, workers),
        connections_per_client=min(
            caps.connections_per_client, 2 * _part(caps.connections_per_client, workers)
        ),
    )
    upstreams = {
        name: _with(
            entry,
            connections=_part(entry.connections, workers),
            max_in_flight=entry.max_in_flight and _part(entry.max_in_flight, workers),
        )
        for name, entry in settings.upstreams.items()
    }
    server = _with(settings.server, max=most)
    return _with(settings, server=server, upstreams=upstreams, admin=None)


def _part(whole: int, workers: int) -> int:
    return -(-whole // workers)


def _with(section: S, **changes: object) -> S:
    return section.model_copy(update=changes)
