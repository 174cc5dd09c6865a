"""What counts requests, and which callers it counts, follows from the config."""

import time
from contextlib import AsyncExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.config.compile import limit
from gateway.core.errors import DeniedByLimit, StartError
from gateway.core.invalidation import InvalidationKind
from gateway.runtime.services import limits
from gateway.store.bus import StoreBus
from gateway.telemetry.metrics import LIMIT_EXCESSES
from tests.fakes.limit_server import LimitServer
from tests.fakes.memory import FakeClock
from tests.fakes.services import fake_process, settings_of
from tests.fakes.store import FakeStore


@pytest.mark.parametrize(
    ("mode", "expected", "excesses"),
    [("enforce", [True, False, False], 0), ("shadow", [True, True, True], 2)],
)
async def test_a_limit_refuses_by_its_mode(mode: str, expected: list[bool], excesses: int) -> None:
    """A shadow limit lets all requests pass, and counts those that it would have refused."""
    settings = settings_of(f"limits: {{a: {{rate: 1/day, mode: {mode}}}}}")
    store = FakeStore(time.time)
    store.is_down = True  # counts here
    async with fake_process(settings, store) as process, AsyncExitStack() as stack:
        limiter = limits.limiter(settings, process, stack)
        one = limit("a", settings.limits["a"])
        assert expected == [(await limiter.spend(one, "x")).allowed for _ in range(3)]
        assert excesses == process.wire.counters.counts[LIMIT_EXCESSES, "a"]


@pytest.mark.parametrize(
    ("mode", "expected", "excesses"),
    [("enforce", [True, False, False], 0), ("shadow", [True, True, True], 2)],
)
async def test_requests_under_way_are_refused_by_the_mode(
    mode: str, expected: list[bool], excesses: int
) -> None:
    """Of a shadow limit, what it would have refused is counted, and passes."""
    settings = settings_of(f"limits: {{a: {{concurrent: 1, mode: {mode}}}}}")
    store = FakeStore(time.time)
    store.is_down = True  # counts here
    async with fake_process(settings, store) as process:
        leases = limits.leases(settings, process)
        one = limit("a", settings.limits["a"])
        taken = [await leases.take(one, "x") for _ in range(3)]
        assert expected == [lease.state.allowed for lease in taken]
        assert excesses == process.wire.counters.counts[LIMIT_EXCESSES, "a"]
        for lease in taken:
            lease.release()
        again = await leases.take(one, "x")
        assert (True, excesses) == (
            again.state.allowed,
            process.wire.counters.counts[LIMIT_EXCESSES, "a"],
        )
        again.release()


async def test_an_approximate_limit_counts_a_caller_by_its_own_rate() -> None:
    """Beside others, whose rate is that of the limit; in shadow mode all pass."""
    settings = settings_of(
        "limits: {a: {rate: 10/day, approximate: true, overrides: true},"
        " b: {rate: 10/day, approximate: true, mode: shadow}}"
    )
    store = FakeStore(time.time, LimitServer(FakeClock(time.time())).scripts)
    store.values["limit-override:a:x"] = b"30/day", 2**53
    async with fake_process(settings, store) as process, AsyncExitStack() as stack:
        limiter = limits.limiter(settings, process, stack)
        a, b = (limit(name, settings.limits[name]) for name in "ab")
        passed = {
            (one.name, caller): sum([(await limiter.spend(one, caller)).allowed for _ in range(40)])
            for one, caller in ((a, "x"), (a, "y"), (b, "x"))
        }
        assert {("a", "x"): 30, ("a", "y"): 10, ("b", "x"): 40} == passed
        assert 30 == process.wire.counters.counts[LIMIT_EXCESSES, "b"]


async def test_a_caller_may_have_its_own_rate() -> None:
    """Where the config says so; a message makes gateways look again, and ends with the config."""
    settings = settings_of("limits: {a: {rate: 1/day, overrides: true, mode: shadow}}")
    store = FakeStore(time.time, {"sliding_window": lambda _keys, _args: [0, 1, 1, 0]})
    store.values["limit-override:a:x"] = b"7/day", 2**53
    async with fake_process(settings, store) as process:
        bus = process.bus
        assert isinstance(bus, StoreBus)
        async with AsyncExitStack() as stack:
            limiter = limits.limiter(settings, process, stack)
            one = limit("a", settings.limits["a"])
            assert 7 == (await limiter.spend(one, "x")).limit.rate
            store.values["limit-override:a:x"] = b"8/day", 2**53
            await bus.publish(InvalidationKind.LIMIT, "a x")
            assert 8 == (await limiter.spend(one, "x")).limit.rate
        assert [] == bus._subscribers[InvalidationKind.LIMIT]
        assert [] == bus._missed_callbacks


async def test_lists_come_from_the_config_its_files_and_the_store(tmp_path: Path) -> None:
    """All of them hold at once; what is subscribed ends with the config."""
    path = tmp_path / "deny"
    path.write_text("192.0.2.2")
    replies = {"limit-deny:a": [b"0", b"192.0.2.3", b"inf"]}
    scripts = {"list_read": lambda keys, _: replies.get(keys[0], [b"0"])}
    settings = settings_of(f"limits: {{a: {{rate: 1/day, deny: [192.0.2.1, {{file: {path}}}]}}}}")
    async with fake_process(settings, FakeStore(time.time, scripts)) as process:
        bus = process.bus
        assert isinstance(bus, StoreBus)
        async with AsyncExitStack() as stack:
            lists = await limits.limit_lists(settings, process, stack)
            one = limit("a", settings.limits["a"])
            for last in (1, 2, 3):
                with pytest.raises(DeniedByLimit):
                    lists.refuse_address((one,), ip_address(f"192.0.2.{last}"))
            lists.refuse_address((one,), ip_address("192.0.2.4"))
            assert 1 == len(bus._subscribers[InvalidationKind.LIMIT_LIST])
        assert [] == bus._subscribers[InvalidationKind.LIMIT_LIST]
        assert [] == bus._missed_callbacks


async def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """The message names the line."""
    path = tmp_path / "deny"
    path.write_text("nonsense")
    settings = settings_of(f"limits: {{a: {{rate: 1/day, allow: [{{file: {path}}}]}}}}")
    async with fake_process(settings) as process, AsyncExitStack() as stack:
        with pytest.raises(StartError, match=f"^{path}:1: "):
            await limits.limit_lists(settings, process, stack)


def test_limits_that_apply_unwritten_have_lists_too() -> None:
    """Those of sign-in and of failures."""
    settings = settings_of("limits: {a: {rate: 1/day}, login: {rate: 1/day}}")
    assert ("a", "login", "failures") == limits.limit_names(settings)
