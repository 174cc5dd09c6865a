"""A second config that decides about live requests without effect, until it is promoted."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.http import fetch
from tests.fakes.metrics import figures
from tests.fakes.tokens import BOB
from tests.fakes.world import ADMIN, LONG, World, world

NEW_ROUTES = """
  - {name: staff, match: {path: "/staff/*"}, allow: {emails: ["bob@example.com"]}, upstream: app}
  - {name: opened, match: {path: "/opened/*"}, auth: none, upstream: app}
  - {name: few, match: {path: "/few/*"}, auth: none, limits: [few], upstream: app}
"""
OLD_ROUTES = """
  - {name: staff, match: {path: "/staff/*"}, upstream: app}
  - {name: opened, match: {path: "/opened/*"}, upstream: app}
  - {name: few, match: {path: "/few/*"}, auth: none, upstream: app}
"""
SUCCESS = "gateway_config_last_reload_success"
FEW = "  few: {rate: 2/minute}"


async def _compared(around: World, count: int) -> dict[str, float]:
    """The figures of the comparison, once ``count`` requests were compared."""
    async with asyncio.timeout(20):
        while True:
            told = await _told(around)
            if sum(v for name, v in told.items() if name.startswith("requests")) >= count:
                return told
            await asyncio.sleep(0.02)


async def _told(around: World) -> dict[str, float]:
    found = await figures(around.gateway.admin_port)
    return {
        name.removeprefix("gateway_shadow_"): value
        for name, value in found.items()
        if name.startswith("gateway_shadow_") and value
    }


async def _promote(around: World) -> tuple[int, dict[str, Any]]:
    kind = "Content-Type: application/json"
    answer = await fetch(around.gateway.admin_port, "POST", "/api/promote", kind, body=b"{}")
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_candidate_decides_without_effect_until_it_is_promoted(
    tmp_path: Path, workers: str
) -> None:
    """Then it is in use, and its file is the one that is watched."""
    candidate = tmp_path / "new.yaml"
    # It begins as a copy of the config in use, which knows the ports.
    launcher = ("sh", "-c", f'cp "$6" {candidate} && exec "$@" --shadow {candidate}', "sh")
    changes = {"admin": ADMIN, "workers": workers, "more_limits": FEW, "more_routes": OLD_ROUTES}
    async with world(tmp_path, *launcher, **changes) as around:
        written = candidate.read_text()
        candidate.write_text(written.replace(OLD_ROUTES, NEW_ROUTES))
        await around.gateway.said("candidate config reloaded")
        cookie = await around.sign_in()

        assert 200 == (await around.get("/staff/x", cookie)).status
        assert 200 == (await around.get("/staff/x", around.bearer(BOB))).status
        assert 401 == (await around.get("/opened/x")).status
        assert 200 == (await around.get("/elsewhere", cookie)).status
        for _ in range(6):
            assert 200 == (await around.get("/few/x")).status

        told = await _compared(around, 11)
        assert {
            'divergences_total{reason="would_refuse",route="staff"}': 2.0,
            'divergences_total{reason="would_admit",route="opened"}': 1.0,
        }.items() <= told.items()
        assert told['divergences_total{reason="would_refuse",route="few"}'] >= 2
        assert told['requests_total{outcome="alike"}'] >= 2
        await around.gateway.told(
            "would_admit: GET /opened/x",
            "refused 401 unauthenticated by route opened; by the candidate config admitted to",
        )

        around.gateway.config.write_text("nonsense: true\n")
        await around.gateway.said("config not reloaded:")
        assert 0 == (await figures(around.gateway.admin_port))[SUCCESS]
        status, promoted = await _promote(around)
        assert 1 == (await figures(around.gateway.admin_port))[SUCCESS]
        assert (200, str(candidate), 64) == (status, promoted["config"], len(promoted["sha256"]))
        assert 403 == (await around.get("/staff/x", cookie)).status
        assert 200 == (await around.get("/opened/x")).status
        assert (409, "no_candidate") == await _refused(around)
        found = await figures(around.gateway.admin_port)
        assert 1.0 == found['gateway_reloads_total{outcome="applied"}']

        around.gateway.config.write_text("nonsense: false\n")  # it is watched no more
        candidate.write_text(candidate.read_text().replace("auth: none, limits: [few], ", ""))
        await around.gateway.said("config reloaded")
        assert 401 == (await around.get("/few/x")).status


async def test_a_worker_that_died_goes_on_with_the_candidate(tmp_path: Path) -> None:
    """Or without it, where it cannot be used any more: requests are served in any case."""
    candidate, denied = tmp_path / "new.yaml", tmp_path / "denied"
    denied.write_text("192.0.2.1\n")
    launcher = ("sh", "-c", f'cp "$6" {candidate} && exec "$@" --shadow {candidate}', "sh")
    changes = {"admin": ADMIN, "workers": "2", "more_routes": OLD_ROUTES}
    async with world(tmp_path, *launcher, **changes) as around:
        written = candidate.read_text().replace(
            OLD_ROUTES, NEW_ROUTES.replace(", limits: [few]", "")
        )
        listed = f"{{rate: 5/{LONG}, deny: [{{file: {denied}}}]}}"
        candidate.write_text(written.replace(f"{{rate: 5/{LONG}}}", listed, 1))
        await around.gateway.said("candidate config reloaded")
        await _killed(around, 1, 2)
        async with asyncio.timeout(20):
            while 'divergences_total{reason="would_admit",route="opened"}' not in await _told(
                around
            ):
                assert 401 == (await around.get("/opened/x")).status
        denied.unlink()
        await _killed(around, 1)
        await around.gateway.said("worker 1 does without the candidate: ")
        assert 200 == (await around.get("/public/x")).status


async def _killed(around: World, *numbers: int) -> None:
    """Kill workers, and wait for their successors."""
    before = around.gateway.workers()
    for number in numbers:
        os.kill(before[number], signal.SIGKILL)
    async with asyncio.timeout(20):
        while any(before[number] == around.gateway.workers()[number] for number in numbers):
            await asyncio.sleep(0.02)


async def test_a_candidate_that_cannot_be_used(tmp_path: Path) -> None:
    """It ends the start; later the one before stays, and a promotion changes nothing."""
    candidate = tmp_path / "new.yaml"
    launcher = ("sh", "-c", f'cp "$6" {candidate} && exec "$@" --shadow {candidate}', "sh")
    async with world(tmp_path, *launcher, admin=ADMIN) as around:
        assert 200 == (await around.get("/public/x")).status
        assert {'requests_total{outcome="alike"}': 1.0} == await _compared(around, 1)
        candidate.write_text("nonsense: true\n")
        await around.gateway.said("candidate config not reloaded:")
        assert 200 == (await around.get("/public/x")).status
        assert {'requests_total{outcome="alike"}': 2.0} == await _compared(around, 2)
        assert (409, "not_promoted") == await _refused(around)
        assert 200 == (await around.get("/public/x")).status

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "run", "--config", str(around.gateway.config)),
            *("--shadow", str(candidate)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await process.communicate()
        assert (2, True) == (process.returncode, b"nonsense" in told)


async def _refused(around: World) -> tuple[int, str]:
    status, document = await _promote(around)
    return status, document["code"]
