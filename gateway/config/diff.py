"""
What another config would do otherwise, by what requests meet: for ``gateway diff``.

Both configs are asked about one request of each cell of `gateway.config.diff_space`, so that a
change of the file without an effect is no change, and each change has a URL that proves it.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.config.addresses import url_on
from gateway.config.diff_effect import Aspect, Side, forwarded_path
from gateway.config.diff_space import Cell, Cells, Probe
from gateway.core.address import IPAddress, IPNetwork
from gateway.core.route import Route
from gateway.routing.client_address import UNIX, UNIX_PEER
from gateway.routing.target import parse_authority


class Kind(StrEnum):
    """What has changed for some requests, in the order of the report."""

    PUBLIC = "public"
    """An app gets requests without credentials that it did not get before, or by another path."""
    PROTECTED = "protected"
    """It gets them no more: they need a credential, or are refused."""
    ADDED = "added"
    """A route takes requests that were refused before, with a credential."""
    REMOVED = "removed"
    """No route takes them any more."""
    AUTH = "auth"
    """Other credentials count, or they are checked where there are any."""
    RULES = "rules"
    REROUTED = "rerouted"
    """Another app gets them, or the same one with another path."""
    UPSTREAM = "upstream"
    LIMITS = "limits"
    CORS = "cors"
    FORWARDING = "forwarding"
    RENAMED = "renamed"


_KINDS = {
    Aspect.AUTH: Kind.AUTH,
    Aspect.RULES: Kind.RULES,
    Aspect.APP: Kind.REROUTED,
    Aspect.UPSTREAM: Kind.UPSTREAM,
    Aspect.LIMITS: Kind.LIMITS,
    Aspect.CORS: Kind.CORS,
    Aspect.FORWARDING: Kind.FORWARDING,
    Aspect.NAME: Kind.RENAMED,
}
_ELSEWHERE = (
    *(IPv4Address("198.51.100.1"), IPv6Address("2001:db8::1")),
    *(IPv4Address(0), IPv6Address(0)),
)
"""Clients of no listed network: addresses for examples (RFC 5737, RFC 3849), and the first ones."""


class _Change(NamedTuple):
    """A change for the requests of one cell."""

    kind: Kind
    old: str
    new: str
    client: IPAddress | None = None
    """The client that it takes to see it; None for any."""


class Difference(NamedTuple):
    """A change, and all requests that it is for."""

    kind: Kind
    request: str
    """A method and a URL that proves it; and the client's address, where it takes a certain one."""
    old: str
    new: str
    cells: tuple[Cell, ...]

    def covers(self, cell: Cell) -> bool:
        """Whether the change is for the requests of ``cell``."""
        return cell in self.cells


def cells_of(old: Side, new: Side, routes: Iterable[Route]) -> Cells:
    """Divide all requests by the patterns of ``routes``, those of both sides."""
    hosts = [
        parse_authority(urlsplit(side.settings.server.public_url).netloc).host
        for side in (new, old)
    ]
    return Cells(routes, hosts)


def diff(old: Side, new: Side, cells: Cells) -> list[Difference]:
    """Compare the sides in each of ``cells``; changes that are told alike are one line."""
    found: dict[_Change, list[Probe]] = {}
    for probe in cells.probes():
        for change in _changes(old, new, probe):
            found.setdefault(change, []).append(probe)
    origin = new.settings.server.public_url
    lines = [_line(change, probes, origin) for change, probes in found.items()]
    order = list(Kind)
    return sorted(lines, key=lambda line: order.index(line.kind))


def _line(change: _Change, probes: list[Probe], origin: str) -> Difference:
    first = probes[0]
    request = f"{first.method} {url_on(origin, first.host, first.path)}"
    if change.client is not None:
        request += f" from {UNIX if change.client == UNIX_PEER else change.client}"
    cells = tuple(probe.cell for probe in probes)
    return Difference(change.kind, request, change.old, change.new, cells)


def _changes(old: Side, new: Side, probe: Probe) -> Iterator[_Change]:
    """Iterate over what differs for the requests of one cell."""
    before, after = (side.route(probe.host, probe.path, probe.method) for side in (old, new))
    if isinstance(before, str) and isinstance(after, str):
        return
    access = _of_access(old, new, probe.method, before, after)
    if access is not None:
        yield access
    if not isinstance(before, str) and not isinstance(after, str):
        differing = _differing(old, new, probe.path, before, after)
        if access is not None:  # which tells these
            differing -= {Aspect.AUTH, Aspect.RULES, Aspect.NAME}
        is_opened = access is not None and access.kind is Kind.PUBLIC
        exposes = not is_opened and _exposes(old, new, probe, before, after)
        opens = new.passes_preflights(after) and not old.passes_preflights(before)
        for change in _told(old, new, before, after, differing):
            is_exposed = exposes and change.kind is Kind.REROUTED
            is_exposed |= opens and change.kind is Kind.CORS
            yield change._replace(kind=Kind.PUBLIC) if is_exposed else change


# --- who gets in -------------------------------------------------------------------------------


def _of_access(
    old: Side, new: Side, method: str, before: Route | str, after: Route | str
) -> _Change | None:
    """Tell who gets in, where that differs; None where it does not."""
    told = _access(old, before), _access(new, after)
    opened, closed = _opened_and_closed(old, new, method, before, after)
    if opened is not None:
        return _Change(Kind.PUBLIC, *told, opened if _networks(before, after) else None)
    if isinstance(before, str) and new.passes_preflights(after):
        return _Change(Kind.PUBLIC, *told)
    if isinstance(before, str):
        return _Change(Kind.ADDED, *told)
    if isinstance(after, str):
        return _Change(Kind.REMOVED, *told)
    if closed is not None:
        return _Change(Kind.PROTECTED, *told, closed if _networks(before, after) else None)
    return None


def _opened_and_closed(
    old: Side, new: Side, method: str, before: Route | str, after: Route | str
) -> tuple[IPAddress | None, IPAddress | None]:
    """Return a client without credentials that gets in now alone, and one that does no more."""
    clients = list(_clients(before, after))
    was = {client for client in clients if old.admits_anonymous(before, method, client)}
    now = {client for client in clients if new.admits_anonymous(after, method, client)}
    opened, closed = (
        next((client for client in clients if client in found), None)
        for found in (now - was, was - now)
    )
    return opened, closed


def _clients(*routes: Route | str) -> Iterator[IPAddress]:
    """Iterate over a client of each set of networks that the rules of ``routes`` tell apart."""
    yield from _ELSEWHERE
    for network in sorted(_networks(*routes), key=_place):
        yield network.network_address
        last = network.broadcast_address
        if int(last) + 1 < 1 << network.max_prefixlen:
            yield last + 1


def _networks(*routes: Route | str) -> set[IPNetwork]:
    return {
        network
        for route in routes
        if isinstance(route, Route)
        for rule in (*route.allow, *route.deny)
        for network in rule.networks
    }


def _place(network: IPNetwork) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _access(side: Side, route: Route | str) -> str:
    if isinstance(route, str):
        return route
    parts = side.parts(route)
    rules = f", {parts[Aspect.RULES].text}" if route.allow or route.deny else ""
    preflights = ", preflights to the app" if side.passes_preflights(route) else ""
    return f"route {route.name}: {parts[Aspect.AUTH].text}{rules}{preflights}"


# --- what happens to those who get in ----------------------------------------------------------


def _exposes(old: Side, new: Side, probe: Probe, before: Route, after: Route) -> bool:
    """Whether clients without credentials reach another app than before, or another path of it."""
    apps = old.servers(before), new.servers(after)
    is_other_app = before.upstream != after.upstream and apps[0] != apps[1]
    is_other_app |= old.is_of_another(before.upstream, apps[1] - apps[0])
    is_moved = forwarded_path(before, probe.path) != forwarded_path(after, probe.path)
    return (
        bool(apps[1])
        and (is_other_app or is_moved)
        and (
            new.passes_preflights(after)
            or any(
                new.admits_anonymous(after, probe.method, client)
                for client in _clients(before, after)
            )
        )
    )


def _differing(old: Side, new: Side, path: str, before: Route, after: Route) -> set[Aspect]:
    """Return the parts in which what two routes do with a request differs."""
    was, now = old.parts(before), new.parts(after)
    differing = {aspect for aspect in Aspect if was[aspect].value != now[aspect].value}
    if forwarded_path(before, path) != forwarded_path(after, path):
        differing.add(Aspect.APP)
    if before.upstream != after.upstream and Aspect.APP in differing:  # which tells another app
        differing.discard(Aspect.UPSTREAM)
    if len(differing) > 1:  # the others tell the name
        differing.discard(Aspect.NAME)
    return differing


def _told(
    old: Side, new: Side, before: Route, after: Route, differing: set[Aspect]
) -> Iterator[_Change]:
    was, now = old.parts(before), new.parts(after)
    for aspect in Aspect:
        if aspect in differing:
            is_told = was[aspect].text != now[aspect].text
            text = now[aspect].text if is_told else f"{now[aspect].text}, changed"
            yield _Change(
                _KINDS[aspect],
                f"route {before.name}: {was[aspect].text}",
                f"route {after.name}: {text}",
            )
