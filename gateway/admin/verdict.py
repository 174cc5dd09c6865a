"""The state of a gateway in one sentence, for operators who take one look."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from gateway.admin.figures import Figures
from gateway.admin.history import Minute

StateLevel = Literal["good", "warn", "bad"]

THRESHOLDS: Final = {
    "failed": (0.01, 0.05),
    "refused": (0.25, 0.75),
    "limit": (0.1, 0.5),
    "total_s": (1.0, 5.0),
    "gateway_s": (0.1, 0.5),
    "app_s": (1.0, 5.0),
}
"""Lower bounds of *worth a look* and *wrong*: shares, and 95th percentiles in seconds."""

_FEWEST: Final = 10
"""Least requests in a minute for a share to mean something: one of two would be half."""

_TOLD_ALREADY: Final = ("audit", "magic", "store", "upstream", "workers")
"""Beginnings of the names of checks that repeat what figures say."""


class Trouble(NamedTuple):
    """One thing that is wrong, or worth a look."""

    key: str
    """Stays the same while the problem lasts, whatever its figures are."""
    level: StateLevel
    text: str


def troubles(found: Figures, minute: Minute) -> list[Trouble]:
    """Return what is wrong, the worst first; empty where all is well."""
    told = [
        *_of_gateway(found),
        *_of_services(found, minute),
        *_of_upstreams(found["upstreams"]),
        *_of_requests(minute),
        *_of_checks(found),
    ]
    return sorted(told, key=lambda each: each.level != "bad")


def level(told: Sequence[Trouble]) -> StateLevel:
    """Return the level of the worst."""
    return told[0].level if told else "good"


def since(known: Mapping[str, float], told: Sequence[Trouble], now_s: float) -> dict[str, float]:
    """Return since when each problem is there: those that were ``known`` keep their time."""
    return {each.key: known.get(each.key, now_s) for each in told}


def _of_gateway(found: Figures) -> Iterator[Trouble]:
    status = found["status"]
    if status == "draining":
        yield Trouble("status", "warn", "The gateway drains: it takes no more connections")
    elif status == "starting":
        yield Trouble("status", "warn", "The gateway starts")
    elif status != "ok":
        yield Trouble("status", "bad", "No worker serves")
    workers = [each for each in found["workers"] if each["worker"] != "supervisor"]
    down = sum(not each["up"] for each in workers)
    if down and status == "ok":
        yield Trouble("workers", "bad", f"{down} of {len(workers)} workers {_are(down)} down")
    if found["audit"] == "failing":
        yield Trouble("audit", "bad", "The audit file takes no lines")
    if found["reloads"].get("last_ok") == 0:
        text = "The config file was refused: the config before it stays in use"
        yield Trouble("reload", "warn", text)


def _of_services(found: Figures, minute: Minute) -> Iterator[Trouble]:
    if found["store"]["up"] == 0:
        lives = "sessions live on grace" if minute.grace else "new sessions cannot be checked"
        yield Trouble("store", "bad", f"The store does not answer: {lives}")
    if found["magic"]["up"] == 0:
        text = "Magic does not answer: calls are paused, and sign-ins may fail"
        yield Trouble("magic", "bad", text)


def _of_upstreams(upstreams: Sequence[Mapping[str, Any]]) -> Iterator[Trouble]:
    for each in upstreams:
        servers = each["servers"]
        out = sum(not is_up for _, is_up in servers)
        key, name = f"upstream {each['upstream']}", each["upstream"]
        if each["circuit_open"]:
            text = f"Upstream {name}: its circuit breaker is open, requests are refused"
            yield Trouble(key, "bad", text)
        elif out and out == len(servers):
            yield Trouble(key, "bad", f"Upstream {name}: no server is in use")
        elif out:
            yield Trouble(key, "warn", f"Upstream {name}: {out} of {len(servers)} servers out")


def _of_requests(minute: Minute) -> Iterator[Trouble]:
    if minute.requests >= _FEWEST:
        share = minute.failed / minute.requests
        if found := _level("failed", share):
            yield Trouble("failed", found, f"{_percent(share)} of requests fail (5xx)")
        share = minute.refused / minute.requests
        if _level("refused", share):
            yield Trouble("refused", "warn", f"{_percent(share)} of requests are refused")
        for name, p95_s in (("gateway", minute.gateway_p95_s), ("app", minute.app_p95_s)):
            if found := _level(f"{name}_s", p95_s):
                yield Trouble(f"slow {name}", found, f"The {name} is slow: p95 of {_time(p95_s)}")
    for name, (decided, refused) in minute.limits.items():
        if decided >= _FEWEST and _level("limit", refused / decided):
            text = f"Limit {name} refuses {_percent(refused / decided)} of its requests"
            yield Trouble(f"limit {name}", "warn", text)


def _of_checks(found: Figures) -> Iterator[Trouble]:
    """Return the checks that fail, beyond what is told already."""
    for each in found["checks"]:
        name = each["name"]
        if not each["ok"] and not name.startswith(_TOLD_ALREADY):
            yield Trouble(f"check {name}", "warn", f"{name}: {each['detail'] or 'the check fails'}")


def _level(name: str, value: float) -> StateLevel | None:
    warn, bad = THRESHOLDS[name]
    return "bad" if value >= bad else "warn" if value >= warn else None


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
