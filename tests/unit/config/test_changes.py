"""Parts of a config that a reload cannot change."""

from collections.abc import Callable

import pytest

from gateway.config.changes import needs_restart
from gateway.config.schema import Settings

Read = Callable[..., Settings]

OLD = "server: {public_url: 'https://a', listen: ['127.0.0.1:1']}"


@pytest.mark.parametrize(
    ("new", "fixed"),
    [
        pytest.param(OLD, [], id="the same"),
        pytest.param(OLD.replace("//a", "//b"), [], id="origin"),
        pytest.param(OLD.replace(":1'", ":2'"), ["server.listen"], id="address"),
        pytest.param(f"{OLD}\nroutes: []", [], id="routes"),
        pytest.param(f"{OLD}\nsession: {{keys: ['{'k' * 32}']}}", [], id="keys"),
        pytest.param(f"{OLD}\nadmin: null", ["admin.listen", "admin.hosts"], id="admin"),
        pytest.param(f"{OLD}\nadmin: {{token: '{'t' * 32}', read_only: true}}", [], id="access"),
        pytest.param(f"{OLD}\nadmin: {{hosts: [a.example]}}", ["admin.hosts"], id="hosts"),
        pytest.param(
            f"{OLD}\nredis: {{prefix: 'a:'}}\nmagic: {{secret_key: sk_live_other}}",
            ["redis", "magic"],
            id="two",
        ),
    ],
)
def test_needs_restart(read: Read, new: str, fixed: list[str]) -> None:
    """A part that is read once, at start, is named if it differs."""
    assert fixed == needs_restart(read(OLD), read(new))
