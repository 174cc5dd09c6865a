"""Health and metrics of the private listener."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.app import AdminPages
from gateway.admin.status import Status, StatusCheck
from tests.fakes.admin import Source


@pytest.fixture
def source() -> Source:
    return Source()


def _app(source: Source) -> web.Application:
    app = web.Application()
    app.add_routes(AdminPages(source, frozenset()).routes())
    return app


@pytest.fixture
async def client(source: Source) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async with TestClient(TestServer(_app(source))) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(Status(True, "ok", "ok"), 200, id="ready"),
        pytest.param(Status(True, "ok", "unavailable"), 200, id="without-its-store"),
        pytest.param(Status(False, "draining", "ok"), 503, id="draining"),
        pytest.param(Status(False, "starting", "ok", False), 503, id="starting"),
    ],
)
async def test_readiness(
    client: TestClient[web.Request, web.Application], source: Source, status: Status, expected: int
) -> None:
    """A store that is down takes no gateway out of the balancer; a drain does."""
    source.status = status
    async with client.get("/readyz") as answer:
        document = await answer.json()
        assert (expected, status.status, status.store) == (
            answer.status,
            document["status"],
            document["store"],
        )
    async with client.get("/healthz") as answer:
        assert 200 == answer.status


@pytest.mark.parametrize(
    ("is_started", "expected"), [(True, (200, "started")), (False, (503, "starting"))]
)
async def test_start_up(
    client: TestClient[web.Request, web.Application],
    source: Source,
    *,
    is_started: bool,
    expected: tuple[int, str],
) -> None:
    """A gateway that drains has started: only its readiness ends."""
    source.status = Status(False, "draining", "ok", is_started)
    async with client.get("/startupz") as answer:
        assert expected == (answer.status, (await answer.json())["status"])


async def test_checks_are_listed_on_demand(
    client: TestClient[web.Request, web.Application], source: Source
) -> None:
    """With what each says; a foreign host, which may be rebound DNS, is not told."""
    check = StatusCheck("upstream app", False, "0 of 2 servers usable")
    source.status = Status(True, "ok", "ok", True, (check,))
    async with client.get("/readyz") as answer:
        assert "checks" not in await answer.json()
    async with client.get("/readyz?verbose") as answer:
        assert (200, [check._asdict()]) == (answer.status, (await answer.json())["checks"])
    async with client.get("/readyz?verbose", headers={"Host": "evil.example"}) as answer:
        assert 403 == answer.status
    async with client.get("/readyz", headers={"Host": "evil.example"}) as answer:
        assert 200 == answer.status


async def test_the_metrics_page(client: TestClient[web.Request, web.Application]) -> None:
    """In the text format of Prometheus."""
    async with client.get("/metrics") as answer:
        assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["Content-Type"]
        assert "gateway_tunnels_total 4.0" in (await answer.text()).splitlines()
