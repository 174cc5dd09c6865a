"""Smuggling: whether the gateway and an app can be made to read different requests."""

from collections.abc import Iterator
from typing import Final

from gateway.core.route import Auth
from gateway.selftest.attacks.paths import is_open
from gateway.selftest.callers import MEMBER, CallerProof, host_of, path_of
from gateway.selftest.corpus.request_case import ExpectedRequest, HostileRequest
from gateway.selftest.corpus.requests import HOSTILE_REQUESTS
from gateway.selftest.lab import Exchanged
from gateway.selftest.places import AppPlace
from gateway.selftest.trial import ConfigTrial

_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
_BY_CAPS: Final = (413, 431)
"""Answers to what exceeds the caps of the tables, and need not exceed those of the config."""
_OF_THE_TABLES: Final = (b"/any/", b"/listed/", b"/private")
"""Paths of routes that the tables expect, and that a config need not have."""


async def attack_framing(trial: ConfigTrial) -> None:
    """Replay the hostile requests where a request is let through, and where it is not."""
    wide = [place for place in trial.places.all if place.route.match.path.endswith("/*")]
    door = next((place for place in wide if is_open(place.route)), None)
    closed = next((place for place in wide if place.route.auth is Auth.REQUIRED), None)
    if door is not None:
        await _replay(trial, door, CallerProof(()))
    elif closed is not None:
        await _replay(trial, closed, trial.callers.bearer(MEMBER))
    if closed is not None:
        await _replay(trial, closed, CallerProof(()))


async def _replay(trial: ConfigTrial, place: AppPlace, by: CallerProof) -> None:
    host = host_of(trial.settings, place.route)
    lines = "".join(f"\r\n{line}" for line in by.lines).encode()
    for case in HOSTILE_REQUESTS:
        raw = b"".join(case.parts)
        is_by_caps = any(answer.status in _BY_CAPS for answer in case.answers)
        if is_by_caps or any(path in raw for path in _OF_THE_TABLES):
            continue
        raw = raw.replace(b"/public", path_of(place.route, "").rstrip("/").encode())
        raw = raw.replace(b"Host: x\r", b"Host: " + host.encode() + lines + b"\r")
        done = await trial.lab.send(raw)
        _judge(trial, place, case, done)


def _judge(trial: ConfigTrial, place: AppPlace, case: HostileRequest, done: Exchanged) -> None:
    """Hold what arrived against what the case says of it."""
    name = place.route.name
    for octets in done.unreadable:
        message = f"what arrives is no request to a server: case {case.id}"
        shown = done._replace(answers=octets)
        trial.found("ambiguous-framing", name, message, shown)
    if not _is_part(done, list(case.seen)):
        trial.found(
            "request-smuggled",
            name,
            f"more or other requests arrive than were sent: case {case.id}",
            done,
            done.arrived[-1],
        )
    protected = [each.route for each in trial.places.protected]
    for arrived in done.arrived:
        if _breaks_framing(done):
            trial.found("ambiguous-framing", name, f"case {case.id}", done, arrived)
        breach = trial.places.breach(arrived, protected) if trial.is_anonymous(arrived) else None
        if breach is not None and not breach.way:
            message = f"{breach.place.route.name} is reached by case {case.id}"
            trial.found("reached-by-smuggling", breach.place.route.name, message, done, arrived)


def _is_part(done: Exchanged, expected: list[ExpectedRequest]) -> bool:
    """Whether all that arrived was expected, in this order; bodies hold paths, which differ."""
    left = iter(expected)
    return all(
        any(arrived.method == one.method and bool(arrived.body) == bool(one.body) for one in left)
        for arrived in done.arrived
    )


def _breaks_framing(done: Exchanged) -> bool:
    return any(count > 1 for count in _counts(done))


def _counts(done: Exchanged) -> Iterator[int]:
    for arrived in done.arrived:
        names = [name.lower().replace("_", "-") for name, _ in arrived.fields]
        yield names.count("host")
        yield sum(name in _FRAMING for name in names)
