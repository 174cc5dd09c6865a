"""Status of a gateway, as the private listener reports it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class StatusCheck(NamedTuple):
    """One part of the gateway, or a server that it needs."""

    name: str
    ok: bool
    detail: str
    """For operators, in plain words."""


class Status(NamedTuple):
    """Readiness of a gateway, and the state of what it needs."""

    is_ready: bool
    """Whether a balancer should send it requests."""
    status: str
    """``ok``, ``starting``, ``draining``, or ``down`` where no worker serves."""
    store: str
    """``ok`` or ``unavailable``."""
    is_started: bool = True
    """Whether it has ever accepted connections."""
    checks: tuple[StatusCheck, ...] = ()
    audit: str = ""
    """``ok``, or ``failing`` where the audit file takes no lines; empty without one."""

    def to_json(self) -> dict[str, Any]:
        """Encode it for the supervisor: the fields by name."""
        return {**self._asdict(), "checks": [list(check) for check in self.checks]}

    @classmethod
    def from_json(cls, status: Mapping[str, Any]) -> "Status":
        """Decode what a worker has sent: the fields by name."""
        checks = tuple(StatusCheck(*check) for check in status["checks"])
        return cls(**{**status, "checks": checks})


def merged_checks(checks: Iterable[StatusCheck]) -> tuple[StatusCheck, ...]:
    """Return one check of each name: the first that fails, or else the first."""
    merged: dict[str, StatusCheck] = {}
    for check in checks:
        known = merged.setdefault(check.name, check)
        if known.ok and not check.ok:
            merged[check.name] = check
    return tuple(merged.values())
