"""Checks of what a gateway needs."""

import asyncio
from typing import cast

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Store
from gateway.pages.routes import PAGES
from gateway.proxy.upstream.upstream import Upstream
from gateway.runtime import checks
from gateway.runtime.checks import store_check, upstream_checks


class Pinged:
    """A store that answers, fails or hangs."""

    def __init__(self, mood: str) -> None:
        self._mood = mood

    async def ping(self) -> None:
        if self._mood == "fails":
            raise StoreUnavailable("connection refused")
        if self._mood == "hangs":
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("mood", "expected"),
    [
        ("answers", (True, "answered within ")),
        ("fails", (False, "connection refused")),
        ("hangs", (False, "no answer within 0.01 s")),
    ],
)
async def test_the_store(
    monkeypatch: pytest.MonkeyPatch, mood: str, expected: tuple[bool, str]
) -> None:
    """One that hangs fails in time."""
    monkeypatch.setattr(checks, "_PING_S", 0.01 if mood == "hangs" else 10)
    name, ok, detail = await store_check(cast("Store", Pinged(mood)))
    assert ("store", expected[0], True) == (name, ok, detail.startswith(expected[1]))


class Servers:
    """An upstream with ``count`` servers, of which some are out."""

    def __init__(self, count: int, out: int) -> None:
        self.servers = [object()] * count
        self._out = out

    def servers_out(self) -> int:
        return self._out


def test_an_upstream_without_a_usable_server_fails() -> None:
    """One with some does not; the gateway's own pages are not listed."""
    upstreams = {"app": Servers(2, 1), "api": Servers(1, 1), PAGES: Servers(1, 0)}
    assert [
        ("upstream app", True, "1 of 2 servers usable"),
        ("upstream api", False, "0 of 1 servers usable"),
    ] == list(upstream_checks(cast("dict[str, Upstream]", upstreams)))
