"""The private listener of one process."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.http import connected, fetch
from tests.fakes.magic import Mood
from tests.fakes.metrics import figures
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import ADMIN, World, world


async def _revoke(around: World, name: str) -> tuple[int, dict[str, Any]]:
    """Status and document of a revocation by the API."""
    body = json.dumps({"issuer": name}).encode()
    port, kind = around.gateway.admin_port, "Content-Type: application/json"
    answer = await fetch(port, "POST", "/api/revocations", kind, body=body)
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_user_is_revoked_by_email(tmp_path: Path, workers: str) -> None:
    """All issuers of the address, which Magic and the index know; names of no user are refused."""
    async with world(tmp_path, admin=ADMIN, workers=workers) as around:
        cookie = await around.sign_in(ALICE)
        bearer = around.bearer(BOB)
        around.magic.add_user(BOB.issuer, "alice@example.com")
        around.magic.users.pop(ALICE.issuer)

        status, said = await _revoke(around, " Alice@Example.com")

        assert (200, "alice@example.com", True) == (status, said["email"], said["is_complete"])
        assert {ALICE.issuer: 1, BOB.issuer: 0} == {
            each["issuer"]: each["sessions_ended"] for each in said["revoked"]
        }
        for field in (cookie, bearer):
            assert 401 == (await around.get("/x", field)).status

        for name, expected in (
            ("x", (400, "bad_request")),
            (ALICE.issuer[:-1], (400, "bad_request")),
            ("service:x", (400, "not_revocable")),
            ("api-key:x", (400, "not_revocable")),
            ("cert:spiffe://a.example/x", (400, "not_revocable")),
            ("none@example.com", (404, "unknown_email")),
        ):
            status, said = await _revoke(around, name)
            assert expected == (status, said["code"]), name
        around.magic.mood = Mood.BROKEN
        status, said = await _revoke(around, "none@example.com")
        assert (503, "magic_unavailable") == (status, said["code"])
        status, said = await _revoke(around, "alice@example.com")
        assert (200, False) == (status, said["is_complete"])


async def test_figures_are_of_the_requests_that_were_sent(tmp_path: Path) -> None:
    """Every request is counted once, whatever became of it."""
    async with world(tmp_path, admin=ADMIN) as around:
        for _ in range(3):
            assert 200 == (await around.get("/public/x")).status
        assert 401 == (await around.get("/x")).status
        async with connected(around.port):
            found = await figures(around.gateway.admin_port)
            series = 'gateway_requests_total{{method="GET",route="{}",status="{}"}}'
            assert 3 == found[series.format("public", 200)]
            assert 1 == found[series.format("rest", 401)]
            assert 1 == found['gateway_refusals_total{code="unauthenticated"}']
            assert 4 == found["gateway_request_duration_seconds_count"]
            assert 5 == found['gateway_connections_total{outcome="accepted"}']
            assert 1 == found['gateway_upstream_idle{upstream="app"}']
            async with asyncio.timeout(20):  # closed connections may be seen late
                while (await figures(around.gateway.admin_port))["gateway_connections_open"] != 1:
                    await asyncio.sleep(0.01)
