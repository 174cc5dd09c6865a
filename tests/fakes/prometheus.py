"""A real Prometheus, as Debian packages it: it scrapes gateways and answers queries."""

import asyncio
import json
import urllib.parse
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.http import fetch
from tests.fakes.programs import end, installed

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"

START_S = 60.0

Series = dict[tuple[tuple[str, str], ...], float]
"""Values by their labels, in the order of the labels' names."""


class Prometheus:
    """Its HTTP API."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def ask(self, path: str, **query: str) -> Any:
        """What the API answers; an error of a query fails the test."""
        answer = await fetch(self.port, "GET", f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
        document = json.loads(answer.body)
        assert document["status"] == "success", (query, document)
        return document["data"]

    async def query(self, expression: str) -> Series:
        """The values of an expression now."""
        data = await self.ask("query", query=expression)
        found = data["result"] if data["resultType"] == "vector" else []
        return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in found}

    async def is_scraping(self, targets: int) -> bool:
        """Whether it has scraped so many targets, all of them well."""
        return {(): float(targets)} == await self.query('sum(up{job="gateway"})')


@asynccontextmanager
async def prometheus(
    folder: Path, port: int, admin_ports: Sequence[int], scrape_interval: str = "500ms"
) -> AsyncIterator[Prometheus]:
    """A server on ``port`` that scrapes private listeners, with the alerts that are delivered."""
    program = installed("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(_config(admin_ports, scrape_interval)))
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            *(f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"),
            *(f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=1d"),
            stdout=log,
            stderr=log,
        )
    running = Prometheus(port)
    try:
        async with asyncio.timeout(START_S):
            while not await _is_ready(port):
                assert process.returncode is None, (folder / "prometheus.log").read_text()
                await asyncio.sleep(0.05)
        yield running
    finally:
        await end(process)


def _config(admin_ports: Sequence[int], scrape_interval: str) -> Mapping[str, object]:
    targets = [f"127.0.0.1:{port}" for port in admin_ports]
    return {
        "global": {"scrape_interval": scrape_interval, "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "gateway", "static_configs": [{"targets": targets}]}],
    }


async def _is_ready(port: int) -> bool:
    try:
        return (await fetch(port, "GET", "/-/ready")).status == 200
    except (OSError, AssertionError):
        return False
