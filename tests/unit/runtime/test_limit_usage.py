"""Callers who have used most of a limit."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway.core.limit import Limit, LimitState
from gateway.runtime import limit_usage
from gateway.runtime.limit_usage import MOST_TOLD, LimitUsage
from tests.fakes.memory import FakeClock, MemoryStore
from tests.fakes.services import settings_of

NOW_S = 1_800_000_000.0
SETTINGS = settings_of("""
limits:
  api: {rate: 10/minute, overrides: true}
  slow: {concurrent: 4, lease: 30s}
  login: {rate: 5/15minutes, per: [ip, email]}
""")
WINDOW = int(NOW_S // 60)


class Keys:
    """A store with these keys."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys
        self.asked: list[str] = []

    async def scan(self, start: str) -> AsyncGenerator[list[str], None]:
        self.asked.append(start)
        for key in self.keys:
            if key.startswith(start):
                yield [key]


class Used:
    """Each caller has used as many as its name ends with."""

    async def state(self, limit: Limit, caller: str) -> LimitState:
        left = max(0, limit.capacity - int(caller.rpartition(".")[2]))
        return LimitState(limit, left > 0, left, 30.0, 0.0)


def _usage(keys: Keys, store: MemoryStore | None = None) -> LimitUsage:
    store = store or MemoryStore(FakeClock(NOW_S))
    return LimitUsage(SETTINGS, store, keys.scan, Used(), lambda: NOW_S)


def _api(*used: int, window: int = WINDOW) -> list[str]:
    return [f"limit:api:{window}:{{192.0.2.{each}}}" for each in used]


async def test_who_is_over_comes_first_and_then_who_is_near() -> None:
    """With what is left; a caller with keys of two windows is told once."""
    keys = Keys(*_api(3, 12, 9), *_api(9, window=WINDOW - 1), *_api(7, window=WINDOW - 2))
    told = await _usage(keys).callers("api")
    assert [("192.0.2.12", 0, True), ("192.0.2.9", 1, False), ("192.0.2.3", 7, False)] == [
        (each["caller"], each["left"], each["refuses"]) for each in told["callers"]
    ]
    assert ("10/minute", 0.9, True) == tuple(
        told["callers"][1][name] for name in ("rate", "share", "can_reset")
    )
    assert (3, False) == (told["counted"], told["is_partial"])
    assert ["limit:api:"] == keys.asked


async def test_a_rate_of_its_own_counts() -> None:
    """What is left is what gateways would say; a record that they ignore is ignored here, too."""
    store = MemoryStore(FakeClock(NOW_S))
    ends_ms = int(NOW_S * 1000) + 1000
    for caller, record in (("192.0.2.9", b"90/minute"), ("192.0.2.8", b"9/hour")):
        await store.set(f"limit-override:api:{caller}", record, expires_at_ms=ends_ms)
    told = await _usage(Keys(*_api(8, 9)), store).callers("api")
    assert [("192.0.2.8", "10/minute"), ("192.0.2.9", "90/minute")] == [
        (each["caller"], each["rate"]) for each in told["callers"]
    ]


async def test_requests_under_way_are_counted_by_their_leases() -> None:
    """Such a limit has no end of a window."""
    told = await _usage(Keys("limit:slow:leases:{192.0.2.3}")).callers("slow")
    [caller] = told["callers"]
    assert ("4 at one time", 3, 1, None) == (
        caller["rate"],
        caller["used"],
        caller["left"],
        caller["resets_in_s"],
    )


async def test_contacts_that_sign_in_stay_hashed() -> None:
    """They can be reset by the contact only; addresses have another rate."""
    window = int(NOW_S // 900)
    keys = Keys(f"limit:login:{window}:{{#ab.4}}", f"limit:login:{window}:{{192.0.2.4}}")
    told = await _usage(keys).callers("login")
    assert [("#ab.4", "5/15minutes", False), ("192.0.2.4", "50/15minutes", True)] == [
        (each["caller"], each["rate"], each["can_reset"]) for each in told["callers"]
    ]


async def test_as_many_are_told_as_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are more, the answer says so."""
    monkeypatch.setattr(limit_usage, "MOST_READ", 30)
    told = await _usage(Keys(*_api(*range(1, 50)))).callers("api")
    assert (MOST_TOLD, 30, True) == (len(told["callers"]), told["counted"], told["is_partial"])


async def test_a_store_that_takes_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found until then is told."""
    monkeypatch.setattr(limit_usage, "_PATIENCE_S", 0.01)

    class Stuck(Keys):
        async def scan(self, start: str) -> AsyncGenerator[list[str], None]:
            async for each in super().scan(start):
                yield each
            await asyncio.Event().wait()

    told = await _usage(Stuck(*_api(4))).callers("api")
    assert (1, True) == (len(told["callers"]), told["is_partial"])


async def test_a_limit_that_applies_by_itself_is_known() -> None:
    """Failures are counted without an entry of the config."""
    told = await _usage(Keys(f"limit:failures:{WINDOW}:{{192.0.2.9}}")).callers("failures")
    assert ["300/minute"] == [each["rate"] for each in told["callers"]]
