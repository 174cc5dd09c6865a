"""The gauges of a process, and the names that its config has."""

from pathlib import Path

import pytest

from gateway import __version__
from gateway.config.schema import Settings
from gateway.core.record import RequestRecord
from gateway.runtime.services.metrics import config_names, noting_reloads, snapshot_of_process
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import (
    HOOK_DELIVERIES,
    LIMIT_EXCESSES,
    RELOADS,
    UPSTREAM_RETRIES,
    WORKERS,
)
from tests.fakes.services import settings_of

CONFIG = """
limits: {slow: {rate: 1/day}}
upstreams: {shop: {servers: ["http://127.0.0.1:9"]}}
routes: [{name: goods, match: {path: /goods/*}, upstream: shop, auth: none}]
hooks:
  functions: [{name: stock, events: [user.login]}]
  first_login: {url: "https://crm.example.com/h", secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}
"""


@pytest.fixture
def settings() -> Settings:
    return settings_of(CONFIG)


def test_the_names_of_a_config_stay_and_others_go(settings: Settings) -> None:
    """The gateway's own pages have names that no config writes."""
    counters = Counters()
    for route in ("goods", "gone", "gateway-sign-in", "gateway-pages", ""):
        counters.request(RequestRecord(route=route), "GET", 200, 1, 0.1)
    for name in ("slow", "login", "failures", "api-key", "gone"):
        counters.add(LIMIT_EXCESSES, name)
    for name in ("shop", "gateway pages", "gone"):
        counters.add(UPSTREAM_RETRIES, name)
    for name in ("first-login", "stock", "gone"):
        counters.add(HOOK_DELIVERIES, f"{name},delivered")
    counters.forget_removed(config_names(settings))
    routes = [route for route, *_ in counters.requests]
    assert ["goods", "gateway-sign-in", "gateway-pages", ""] == routes
    left = [name for _, name in counters.counts]
    assert ["slow", "login", "failures", "api-key", "shop", "gateway pages"] == left[:-2]
    assert ["first-login,delivered", "stock,delivered"] == left[-2:]


def test_the_outcome_of_the_last_reload_is_told() -> None:
    """The start counts as one; a config that is refused leaves the time of the one in use."""
    counters, now_s = Counters(), 100.0
    note = noting_reloads(counters, lambda: now_s)
    assert [1, 100.0] == list(counters.levels.values())
    assert {} == counters.counts
    now_s = 200.0
    note("refused")
    assert [0, 100.0] == list(counters.levels.values())
    note("applied")
    assert [1, 200.0] == list(counters.levels.values())
    assert {(RELOADS, "refused"): 1, (RELOADS, "applied"): 1} == counters.counts


def test_each_process_tells_of_itself() -> None:
    """Its version, what it uses of the machine, and the lines of its log that were dropped."""
    found = snapshot_of_process(Counters(), {}, {(WORKERS, "up"): 2})
    [build] = [label for name, label in found.levels if name == "build_info"]
    assert build.startswith(f"{__version__},3.")
    assert build.endswith((",C", ",Python"))
    assert 2 == found.levels["workers", "up"]
    assert 0 == found.counts["log_dropped", ""]
    assert 0 < found.counts["process_cpu_seconds", ""]
    assert Path("/proc").exists() == (("process_open_fds", "") in found.levels)
