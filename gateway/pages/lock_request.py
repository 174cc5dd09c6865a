"""What a program asks of a lock, read from JSON."""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gateway.config.units import duration_s, pause_s
from gateway.core.errors import BadRequest

MIN_LEASE_S, MAX_LEASE_S = 1.0, 3600.0
DEFAULT_LEASE: Final = "30s"
MAX_WAIT_S: Final = 10.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}", re.ASCII)
"""What a path holds unescaped, so that a name has one spelling."""
_HOLDER = re.compile(r"[!-~]{1,128}", re.ASCII)
_MAX_FENCE = 2**53
"""Whole numbers below are the same in every reader of JSON (RFC 8259 section 6)."""


class AcquireLock(NamedTuple):
    """Acquire a lock."""

    holder: str
    """Empty where the gateway is to make one."""
    lease_ms: int
    wait_s: float


class RenewLock(NamedTuple):
    """Let the lease begin anew."""

    holder: str
    fence: int
    lease_ms: int


class ReleaseLock(NamedTuple):
    """Release a lock."""

    holder: str
    fence: int


LockRequest = AcquireLock | RenewLock | ReleaseLock


def lock_name(text: str) -> str:
    """Return ``text`` if it can be the name of a lock. Raises `BadRequest`."""
    if not _NAME.fullmatch(text):
        raise BadRequest("the name of a lock has up to 128 letters, digits and ._:~-")
    return text


def read_lock_request(document: object) -> LockRequest:
    """Read what is asked. Raises `BadRequest`; members that an action does not have are refused."""
    if not isinstance(document, dict):
        raise BadRequest("expected an object")
    members = dict(document)
    match members.pop("action", None):
        case "acquire":
            holder = _holder(members) if "holder" in members else ""
            read: LockRequest = AcquireLock(holder, _lease_ms(members), _wait_s(members))
        case "renew":
            read = RenewLock(_holder(members), _fence(members), _lease_ms(members))
        case "release":
            read = ReleaseLock(_holder(members), _fence(members))
        case _:
            raise BadRequest("expected an action: acquire, renew or release")
    if members:
        raise BadRequest("a member that the action does not have")
    return read


def _holder(members: dict[str, Any]) -> str:
    holder = _text(members, "holder", "")
    if not _HOLDER.fullmatch(holder):
        raise BadRequest("a holder has up to 128 printable characters of ASCII without spaces")
    return holder


def _fence(members: dict[str, Any]) -> int:
    fence = members.pop("fence", None)
    if type(fence) is not int or not 0 < fence < _MAX_FENCE:
        raise BadRequest("expected the fence, a whole number")
    return fence


def _lease_ms(members: dict[str, Any]) -> int:
    lease_s = _read(duration_s, _text(members, "lease", DEFAULT_LEASE))
    if not MIN_LEASE_S <= lease_s <= MAX_LEASE_S:
        raise BadRequest("a lease is between 1s and 1h")
    return round(lease_s * 1000)


def _wait_s(members: dict[str, Any]) -> float:
    wait_s = _read(pause_s, _text(members, "wait", "0s"))
    if wait_s > MAX_WAIT_S:
        raise BadRequest("a wait is up to 10s")
    return wait_s


def _read(parse: Callable[[str], float], text: str) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _text(members: dict[str, Any], name: str, default: str) -> str:
    text = members.pop(name, default)
    if not isinstance(text, str):
        raise BadRequest(f"{name} is not text")
    return text
