"""Configs of the gateways of a run."""

from pathlib import Path

import pytest

from benchmarks.configs import BEHIND_PROXY, PLAIN, Places, Variant, gateway_config, path_of_route
from gateway.config.compile import routes
from gateway.config.load import parse
from gateway.routing.table import RouteTable

PLACES = Places(8080, 9090, 3000, Path("/store"), Path("/certificate"), Path("/key"))


@pytest.mark.parametrize(
    "variant", [PLAIN, Variant(routes=10), Variant(is_pinned=False), BEHIND_PROXY]
)
def test_configs_are_valid(variant: Variant) -> None:
    """A config loads, and has the routes of its variant."""
    settings = parse(gateway_config(PLACES, variant), "f", {}, str)
    assert len(settings.routes) == 3 + variant.routes


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/api/items", "app", id="everything-else"),
        pytest.param("/strict/x", "strict", id="strict"),
        pytest.param("/limited/x", "limited", id="limited"),
        pytest.param(path_of_route(9), "s9", id="the-last-of-many"),
    ],
)
def test_paths_lead_to_their_routes(path: str, expected: str) -> None:
    """The paths of the scenarios match the intended routes."""
    settings = parse(gateway_config(PLACES, Variant(routes=10)), "f", {}, str)
    assert RouteTable(routes(settings)).match("127.0.0.1", path, "GET").name == expected


def test_two_gateways_share_nothing_in_one_store() -> None:
    """What one counts or forgets does not reach the other."""
    settings = parse(gateway_config(PLACES._replace(prefix="another:"), PLAIN), "f", {}, str)
    assert settings.redis.prefix == "another:"
