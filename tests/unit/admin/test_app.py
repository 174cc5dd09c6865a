"""Health and metrics of the private listener."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.app import AdminPages, Status
from gateway.telemetry.snapshot import MetricsSnapshot


class Source:
    """Has the status that it is given."""

    def __init__(self) -> None:
        self.status = Status(True, "ok", "ok")

    async def state(self) -> Status:
        return self.status

    async def snapshot(self) -> MetricsSnapshot:
        return MetricsSnapshot({("tunnels", ""): 4}, {})


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def client(source: Source) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async with TestClient(TestServer(AdminPages(source, frozenset()).app())) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(Status(True, "ok", "ok"), 200, id="ready"),
        pytest.param(Status(True, "ok", "unavailable"), 200, id="without-its-store"),
        pytest.param(Status(False, "draining", "ok"), 503, id="draining"),
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


async def test_the_metrics_page(client: TestClient[web.Request, web.Application]) -> None:
    """In the text format of Prometheus."""
    async with client.get("/metrics") as answer:
        assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["Content-Type"]
        assert "gateway_tunnels_total 4.0" in (await answer.text()).splitlines()
