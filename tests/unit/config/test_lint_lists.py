"""Warnings about the deny and allow lists of limits."""

from collections.abc import Callable

import pytest

from gateway.config.lint import lint
from gateway.config.lint_lists import LIST_LINTS
from gateway.config.problems import dotted
from gateway.config.schema import Settings

CODES = {code for code, _ in LIST_LINTS}
LIMIT = "limits: {%s: {rate: 1/day, %s}}\n"
ROUTE = "routes: [{name: r, match: {path: /a}, upstream: app, %s}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            LIMIT % ("a", "allow: [10.0.0.0/8, 'service:x', a@b.example]"),
            [
                ("limits.a.allow[1]", "allow-to-no-effect"),
                ("limits.a.allow[2]", "allow-to-no-effect"),
            ],
            id="callers-that-are-not-known-yet",
        ),
        pytest.param(
            "limits: {a: {concurrent: 2, allow: [a@b.example]}}", [], id="callers-that-take-a-place"
        ),
        pytest.param(LIMIT % ("a", "allow: [10.0.0.0/8, {file: x}]"), [], id="addresses"),
        pytest.param(LIMIT % ("login", "allow: [a@b.example]"), [], id="who-signs-in"),
        pytest.param(
            LIMIT % ("a", "deny: ['service:x']") + ROUTE % "limits: [a], auth: none",
            [("routes[0]", "denied-where-unknown")],
            id="callers-of-a-public-route",
        ),
        pytest.param(
            LIMIT % ("default", "deny: ['service:x']") + ROUTE % "auth: none",
            [("routes[0]", "denied-where-unknown")],
            id="by-the-default-limit",
        ),
        pytest.param(
            LIMIT % ("a", "deny: ['service:x']") + ROUTE % "limits: [a], auth: optional",
            [],
            id="callers-that-may-be-known",
        ),
        pytest.param(
            LIMIT % ("a", "deny: [10.0.0.0/8]") + ROUTE % "limits: [a], auth: none",
            [],
            id="addresses-of-a-public-route",
        ),
    ],
)
def test_lists(read: Callable[..., Settings], text: str, expected: list[tuple[str, str]]) -> None:
    """An entry that cannot have an effect is told."""
    found = [(dotted(each.path), each.code) for each in lint(read(text)) if each.code in CODES]
    assert expected == found
