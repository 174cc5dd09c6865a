"""The list of lints about routes; tests/unit/config/test_lint.py runs each of them."""

from collections.abc import Callable

from gateway.config.lint import LINTS
from gateway.config.lint_rules import RULE_LINTS, routes
from gateway.config.schema import Settings


def test_they_are_part_of_all_lints() -> None:
    """`gateway check` runs them too."""
    assert RULE_LINTS
    assert set(RULE_LINTS) < set(LINTS)


def test_routes_have_their_keys(read: Callable[..., Settings]) -> None:
    """A finding leads to the line of its route."""
    text = "routes: [{name: a, match: {path: /a}}, {name: b, match: {path: /b}}]"
    proxies = "\nserver: {public_url: 'https://a', trusted_proxies: [10.0.0.1]}"
    found = [(key, route.name) for key, route in routes(read(text + proxies))]
    assert [(("routes", 0), "a"), (("routes", 1), "b")] == found
