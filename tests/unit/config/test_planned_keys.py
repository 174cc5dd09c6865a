"""Keys of later versions."""

from collections.abc import Callable

import pytest

from gateway.config import planned_keys

Complain = Callable[..., list[str]]

WITHIN = {
    "server": "server: {{public_url: 'https://a', {key}: 1}}",
    "redis": "redis: {{url: 'embedded://', {key}: 1}}",
    "session": "session: {{keys: [0123456789abcdef0123456789abcdef], {key}: 1}}",
    "identity": "identity: {{{key}: 1}}",
    "identity.headers": "identity: {{headers: {{{key}: 1}}}}",
    "limits.*": "limits: {{a: {{rate: 1/second, {key}: 1}}}}",
    "upstreams.*": "upstreams: {{app: {{servers: ['http://a'], {key}: 1}}}}",
    "routes.*": "routes: [{{name: a, match: {{path: /a}}, upstream: app, {key}: 1}}]",
    "": "{key}: 1",
}


@pytest.mark.parametrize("pattern", sorted(planned_keys.KEYS))
def test_keys(complaints: Complain, pattern: str) -> None:
    """A key of a later version is refused as not supported yet, in the place where it will be."""
    section, _, key = pattern.rpartition(".")
    (problem,) = complaints(WITHIN[section].format(key=key))
    assert problem.startswith("gateway.yaml:1: ")
    instead = planned_keys.KEYS[pattern]
    assert problem.endswith(f"{key} is not supported yet" + (f": {instead}" if instead else ""))


@pytest.mark.parametrize(
    "path", [("server",), ("tls",), ("server", "tls", "key"), ("redis", "nodes", 0)]
)
def test_other_keys(path: tuple[str | int, ...]) -> None:
    """A pattern matches a whole path only."""
    assert planned_keys.remedy(path) is None
