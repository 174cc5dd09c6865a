"""Paths: whether a request reaches a protected place by another spelling, host, method or route."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final, NamedTuple

from gateway.config.schema import RouteSettings
from gateway.core.route import Auth
from gateway.selftest.callers import MEMBER, CallerProof, head, host_of, path_of, public_host
from gateway.selftest.corpus.paths import HOSTILE_TARGETS
from gateway.selftest.places import CHECKED, AppPlace, Breach
from gateway.selftest.recorder import ArrivedRequest
from gateway.selftest.trial import ConfigTrial

MOST_REQUESTS: Final = 4000
"""Of each caller: a config of many routes would take minutes."""
MOST_PLACES: Final = 100
"""Protected routes, and others for each of them, between which requests are tried."""

LENIENT: Final = frozenset(
    {
        *("case", "suffix", "path-info", "trailing-dot", "unicode-folding", "double-decoding"),
        "method-override",
    }
)
"""
Ways in which only some apps read a path.

For a path that is public they are findings. For one that needs a credential they are noted: nearly
every config gives some paths to fewer people than the rest.
"""
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "FOO")
_OTHER_HOSTS: Final = ("other.selftest.invalid", "127.0.0.1", "[::1]", "localhost.")
_UPWARDS: Final = (
    *("/..", "/%2e%2e", "/..;", "/..;x", "/..%2f", "/..%5c", "/%252e%252e", "/x/../.."),
)
_PASSES: Final = 200
_FULL_WIDTH: Final = ord("ａ") - ord("a")
_LONGEST_TARGET: Final = 4000


class _Asked(NamedTuple):
    method: str
    host: str
    target: str


async def attack_paths(trial: ConfigTrial) -> None:
    """Ask for all protected places without a credential, then as a user that no rule names."""
    protected = await _closed_to_anonymous(trial)
    if len(protected) > MOST_PLACES:
        trial.notes.append(f"paths: {MOST_PLACES} of {len(protected)} protected routes were tried")
    await _attack(trial, protected, CallerProof(()))
    await _ask_checks(trial, protected)
    if trial.closed_to_strangers:
        await _attack(trial, trial.closed_to_strangers, trial.callers.bearer(MEMBER))


async def _closed_to_anonymous(trial: ConfigTrial) -> list[RouteSettings]:
    """Return the routes that need a credential, and those whose rules refuse one without it."""
    return [
        route
        for route in trial.settings.routes
        if route.auth is Auth.REQUIRED
        or (route.allow and route.upstream is not None and not (await trial.ask(route)).arrived)
    ]


async def _attack(trial: ConfigTrial, closed: Collection[RouteSettings], by: CallerProof) -> None:
    asked_before: set[_Asked] = set()
    lenient: dict[str, set[str]] = {}
    for asked in _requests(trial, closed):
        if asked in asked_before:
            continue
        if len(asked_before) == MOST_REQUESTS:
            trial.notes.append(f"paths: only {MOST_REQUESTS} requests for each caller were made")
            break
        asked_before.add(asked)
        done = await trial.lab.send(head(asked.method, asked.target, asked.host, *by.lines))
        for arrived in done.arrived:
            breach = None
            if trial.is_anonymous(arrived) or by.lines:
                breach = trial.places.breach(arrived, closed)
            if breach is None:
                continue
            name = breach.place.route.name
            if by.lines and breach.way in LENIENT:
                lenient.setdefault(name, set()).add(breach.way)
            else:
                code, message = _described(breach, arrived, is_anonymous=not by.lines)
                trial.found(code, name, message, done, arrived)
    trial.notes += [
        f"route {name}: callers that it refuses reach it if the app is lenient about paths"
        f" ({', '.join(sorted(ways))})"
        for name, ways in lenient.items()
    ]


async def _ask_checks(trial: ConfigTrial, closed: Collection[RouteSettings]) -> None:
    """Ask, as the proxy in front, whether requests without a credential would pass."""
    settings = trial.settings
    checked = [route for route in closed if route.upstream is None]
    if not checked or not settings.server.trusted_proxies:
        return
    peer = str(settings.server.trusted_proxies[0].network_address)
    for asked in dict.fromkeys(islice(_requests(trial, checked), MOST_REQUESTS)):
        lines = (
            f"X-Original-Method: {asked.method}",
            f"X-Original-URI: {asked.target}",
            f"X-Original-Host: {asked.host}",
        )
        verify = f"{settings.server.prefix}/verify"
        done = await trial.lab.send(head("GET", verify, public_host(settings), *lines), peer)
        if done.answer.status == _PASSES:
            fields = (("Host", asked.host),)
            passed = ArrivedRequest(CHECKED, asked.method, asked.target, fields, b"", done.answers)
            breach = trial.places.breach(passed, closed)
            if breach is not None:
                code, message = _described(breach, passed, is_anonymous=True)
                trial.found(f"check-{code}", breach.place.route.name, message, done)


def _described(breach: Breach, arrived: ArrivedRequest, *, is_anonymous: bool) -> tuple[str, str]:
    """Return the code and the message of a breach."""
    name, way = breach.place.route.name, breach.way
    caller = "without a credential" if is_anonymous else "by a caller that the route refuses"
    how = f" by {way.replace('-', ' ')}" if way else ""
    code = "reached" if is_anonymous else "rights-bypassed"
    code += f"-by-{way}" if way else ""
    return code, f"{arrived.method} {breach.path}, of route {name}, is reached {caller}{how}"


def _requests(trial: ConfigTrial, closed: Collection[RouteSettings]) -> Iterator[_Asked]:
    """Yield what to ask for: of each place and way in turn, so that a limit leaves out no way."""
    places = [place for place in trial.places.all if place.route in closed]
    doors = [place for place in trial.places.all if place.route not in closed]
    doors.sort(key=lambda door: door.path == door.route.match.path)  # rewritten paths first
    ways: list[Iterator[_Asked]] = []
    for place in places[:MOST_PLACES]:
        near = [door for door in doors if door.servers & place.servers][:MOST_PLACES]
        hosts = list(dict.fromkeys(host_of(trial.settings, each.route) for each in (place, *near)))
        ways += [_plain(trial, place, hosts), _spelled(place, hosts)]
        ways += [_through(door, place, host_of(trial.settings, door.route)) for door in near]
    return _in_turn(ways)


def _in_turn(ways: list[Iterator[_Asked]]) -> Iterator[_Asked]:
    """Take one of each of ``ways``, again and again, until all are at their end."""
    while ways:
        left = []
        for way in ways:
            if (asked := next(way, None)) is not None:
                yield asked
                left.append(way)
        ways = left


def _plain(trial: ConfigTrial, place: AppPlace, hosts: list[str]) -> Iterator[_Asked]:
    """Yield requests for the paths themselves, by each host and method."""
    paths = dict.fromkeys((path_of(place.route), path_of(place.route, ""), _app_path(place)))
    for path in filter(None, paths):
        others = (public_host(trial.settings), *_OTHER_HOSTS)
        yield from (_Asked("GET", host, path) for host in (*hosts, *others))
        for host in (*hosts, _OTHER_HOSTS[0]):
            yield from (_Asked(method, host, path) for method in _METHODS)
        for method in ("DELETE", "PUT", "POST"):
            yield _Asked("POST", hosts[0], f"{path}?_method={method}")


def _spelled(place: AppPlace, hosts: list[str]) -> Iterator[_Asked]:
    for target in _spellings(place.route):
        yield from (_Asked("GET", host, target) for host in hosts)


def _app_path(place: AppPlace) -> str:
    return place.path.removesuffix("/*") + ("/selftest" if place.path.endswith("/*") else "")


def _spellings(route: RouteSettings) -> Iterator[str]:
    """Yield other spellings of the path of ``route``, which some apps read as it."""
    start, rest = path_of(route, ""), path_of(route)[len(path_of(route, "")) :]
    if not start.strip("/"):
        return
    letter = start[1]
    yield from (start.upper() + rest, start.title() + rest)
    yield from (f"{start}{suffix}" for suffix in (".json", ".html", ".css", ".do"))
    yield from (
        f"{start}{dot}{rest}" for dot in (".", "%20", ";x", ";x=y", "%3B", "%00", "~", "%2F")
    )
    yield f"{start}/selftest.css"
    if letter.isascii() and letter.isalpha():
        full = chr(ord(letter.lower()) + _FULL_WIDTH)
        for spelled in (f"%25{ord(letter):02x}", f"%{ord(letter):02x}", full, _escaped(full)):
            yield f"/{spelled}{start[2:]}{rest}"
    whole = start + rest
    for before in ("/", "/.", "/;", "/%2e", "/x/..", "/x/%2e%2e", "/x/..;", "/%2f", "/\\", "/%5c"):
        yield before + whole
    yield from (f"http://localhost{whole}", f"https://other.selftest.invalid{whole}", whole[1:])


def _escaped(text: str) -> str:
    return "".join(f"%{octet:02X}" for octet in text.encode())


def _through(door: AppPlace, place: AppPlace, host: str) -> Iterator[_Asked]:
    """Yield requests by ``door`` that its app may read as ones for ``place``."""
    return (_Asked("GET", host, target) for target in _targets_through(door, place))


def _targets_through(door: AppPlace, place: AppPlace) -> Iterator[str]:
    start, wanted = path_of(door.route, ""), _app_path(place)
    base = door.path.removesuffix("/*").rstrip("/")
    if door.path.endswith("/*"):
        if wanted.startswith(f"{base}/"):
            yield start + wanted[len(base) :]
        for up in _UPWARDS:
            yield f"{start}{up}{path_of(place.route)}"
    public, private = start.rstrip("/") or "/selftest", path_of(place.route, "").rstrip("/")
    for target in HOSTILE_TARGETS:
        if len(target) < _LONGEST_TARGET and " " not in target and target:
            yield target.replace("/public", public).replace("/private", private)


def is_open(route: RouteSettings) -> bool:
    """Whether ``route`` lets requests without a credential through."""
    return route.auth is not Auth.REQUIRED
