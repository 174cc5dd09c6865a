"""What the app can verify: real gateway, real store, real sockets."""

import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from gateway.assertion.token import signing_key
from tests.fakes.http import fetch
from tests.fakes.keys import PEM, PEM_P256, as_yaml
from tests.fakes.tokens import ALICE
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER = "X-Gateway-Assertion"


CONFIG_CHANGES = {
    "more_identity": (
        f', roles: [{{role: staff, issuers: ["{ALICE.issuer}"]}}],'
        f" assertion: {{keys: [{as_yaml(PEM)}, {as_yaml(PEM_P256)}]}}"
    ),
    "more_routes": """
  - {name: moved, match: {path: "/api/*"}, strip_prefix: /api, upstream: app}
""",
}


async def verified(around: World, token: str) -> dict[str, Any]:
    """What it says, by the published keys and another library."""
    published = await fetch(around.port, "GET", "/_gateway/jwks.json")
    assert "application/jwk-set+json" in published.value("Content-Type")
    kid = jwt.get_unverified_header(token)["kid"]
    (key,) = (key for key in published.json()["keys"] if key["kid"] == kid)
    claims: dict[str, Any] = jwt.decode(
        token, jwt.PyJWK(key), algorithms=["EdDSA"], audience="app", issuer="http://localhost"
    )
    return claims


async def test_the_app_can_verify_who_is_asking(around: World) -> None:
    """Who, which roles, which session; signed by the first key; no secret in it."""
    cookie = await around.sign_in()
    await around.get("/x", cookie)
    (token,) = around.app.seen[-1].values(HEADER)
    said = await verified(around, token)
    assert (ALICE.issuer, "alice@example.com", ["staff"]) == (
        said["sub"],
        said["email"],
        said["roles"],
    )
    assert signing_key(PEM).key_id == jwt.get_unverified_header(token)["kid"]
    sessions = (await around.get("/_gateway/sessions", cookie)).json()
    assert said["sid"] in str(sessions)
    assert cookie.partition("=")[2] not in token


async def test_a_hot_session_is_signed_for_once(around: World) -> None:
    """Requests of a session, looked up anew meanwhile, carry the same assertion."""
    cookie = await around.sign_in()
    since_s = time.monotonic()
    # What is known of a session is fresh for a second.
    while time.monotonic() - since_s < 1.3 or len(around.app.seen) <= 3:
        await around.get("/x", cookie)
    assert 1 == len({seen.values(HEADER)[0] for seen in around.app.seen})
    assert 3 < len(around.app.seen)


@pytest.mark.parametrize("path", ["/x", "/public/x", "/optional/x"])
@pytest.mark.parametrize("name", ["X-Gateway-Assertion", "x_gateway.assertion"])
async def test_assertions_sent_by_clients_are_dropped(around: World, path: str, name: str) -> None:
    """It is the gateway's word alone, on public routes too."""
    await around.get(path, around.bearer(), f"{name}: forged")
    assert b"forged" not in around.app.raw
    assert (0 if path == "/public/x" else 1) == len(around.app.seen[-1].values(HEADER))


async def test_what_is_published_is_public(around: World) -> None:
    """All keys, without their private halves; for a minute in a cache."""
    answer = await fetch(around.port, "GET", "/_gateway/jwks.json")
    assert "public, max-age=60" == answer.value("Cache-Control")
    kids = [signing_key(pem).key_id for pem in (PEM, PEM_P256)]
    assert kids == [key["kid"] for key in answer.json()["keys"]]
    assert not any("d" in key for key in answer.json()["keys"])


async def test_without_a_config_there_is_none(tmp_path: Path) -> None:
    """No field, and no page."""
    async with world(tmp_path) as around:
        await around.get("/x", around.bearer(), f"{HEADER}: forged")
        assert [] == around.app.seen[-1].values(HEADER)
        assert 404 == (await fetch(around.port, "GET", "/_gateway/jwks.json")).status


async def test_bound_to_a_request_under_another_name(tmp_path: Path) -> None:
    """Signed for each; the path is the one that the app sees; the usual name is dropped still."""
    changes = {
        **CONFIG_CHANGES,
        "more_identity": (
            f", assertion: {{keys: [{as_yaml(PEM)}], bind: request, header: X-Vouched}}"
        ),
    }
    async with world(tmp_path, **changes) as around:
        line = around.bearer()
        for target in ("/api/x?a=1", "/api/x?a=2"):
            await around.get(target, line, f"{HEADER}: forged", "x.vouched: forged")
        assert b"forged" not in around.app.raw
        said = [await verified(around, seen.values("X-Vouched")[0]) for seen in around.app.seen]
        assert ["/x", "/x"] == [one["path"] for one in said]
        assert 2 == len({one["jti"] for one in said}) == len({one["qh"] for one in said})
        assert not any("sid" in one for one in said)
