"""``gateway roles``, beside a running gateway."""

import asyncio
import json
import time
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.cli.main import main
from tests.fakes.timing import assert_within, at_best_of
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "more_identity": ", roles_from_store: true",
    "more_routes": """
  - {name: beta, match: {path: "/beta/*"}, upstream: app, allow: {roles: [beta]}}
""",
}


def _new_user(number: int) -> TokenSigner:
    """Return the signer of a user that no other test uses."""
    return signer(bytes([31, number]) * 16)


async def _gateway(around: World, *words: str) -> Result:
    """What the command says; in a thread, as it has an event loop of its own."""
    config = str(around.gateway.config)
    return await asyncio.to_thread(CliRunner().invoke, main, ["roles", *words, "--config", config])


@at_best_of(3)
async def test_a_role_is_given_and_taken_at_once(around: World) -> None:
    """The running gateway obeys long before the second for which it would believe itself."""
    ada = _new_user(1)
    cookie = await around.sign_in(ada)
    for words, status in (
        (("grant", ada.issuer, "beta", "admin"), 200),
        (("revoke", ada.issuer, "beta"), 403),
        (("grant", ada.issuer, "beta"), 200),
        (("revoke", ada.issuer, "beta", "admin", "none"), 403),
    ):
        assert 403 - status + 200 == (await around.get("/beta/x", cookie)).status
        ran = await _gateway(around, *words)
        assert 0 == ran.exit_code, ran.output
        since_s = time.monotonic()
        while (await around.get("/beta/x", cookie)).status != status:
            await asyncio.sleep(0.005)
        assert_within(0.5, time.monotonic() - since_s)


async def test_roles_are_shown(around: World) -> None:
    """In lines, or for programs; status 1 where there are none."""
    bob = _new_user(2)
    nothing = await _gateway(around, "show", bob.issuer)
    assert (1, True) == (nothing.exit_code, "has no roles" in nothing.output)
    given = await _gateway(around, "grant", bob.issuer, "b", "a")
    assert "a\nb\n" == given.output
    shown = await _gateway(around, "show", bob.issuer, "--json")
    assert {"issuer": bob.issuer, "roles": ["a", "b"]} == json.loads(shown.output)
    with redis.Redis.from_url(around.store.url) as client:
        assert b'["a","b"]' == client.get(f"roles:{bob.issuer}")
        await _gateway(around, "revoke", bob.issuer, "a", "b")
        assert client.get(f"roles:{bob.issuer}") is None


async def test_a_user_is_named_by_email(around: World) -> None:
    """All issuers of the address are given the role, and named; no key has the address."""
    ada, again = _new_user(6), _new_user(7)
    for by in (ada, again):
        await around.sign_in(by)
    given = await _gateway(around, "grant", "Alice@example.com", "x", "--json")
    roles = {each["issuer"]: each["roles"] for each in json.loads(given.stdout)}
    assert {ada.issuer: ["x"], again.issuer: ["x"]}.items() <= roles.items()
    shown = await _gateway(around, "show", "alice@example.com")
    assert f"{ada.issuer}: x\n" in shown.stdout
    taken = await _gateway(around, "revoke", "alice@example.com", "x")
    assert (0, False) == (taken.exit_code, ada.issuer in taken.stdout)
    with redis.Redis.from_url(around.store.url) as client:
        assert [] == client.keys("roles:*@*")


async def test_what_an_app_wrote_stays(around: World) -> None:
    """Its roles, and the time that the record has left; one that cannot be read is not replaced."""
    eve = _new_user(3)
    with redis.Redis.from_url(around.store.url) as client:
        client.set(f"roles:{eve.issuer}", "x, y", ex=1000)
        assert "x\ny\nz\n" == (await _gateway(around, "grant", eve.issuer, "z")).output
        assert 900 < client.ttl(f"roles:{eve.issuer}") <= 1000
        client.set(f"roles:{eve.issuer}", "{}")
        refused = await _gateway(around, "grant", eve.issuer, "z")
        assert (1, True) == (refused.exit_code, "cannot be read" in refused.output)
        assert b"{}" == client.get(f"roles:{eve.issuer}")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("grant", "ISSUER"), 2),
        (("grant", "ISSUER", "a b"), 2),
        (("grant", "did:ethr:0x1", "a"), 2),
        (("grant", "x", "a"), 2),
        (("grant", "none@example.com", "a"), 1),
        (("grant", "ISSUER", *(f"role-{number}" for number in range(65))), 1),
    ],
)
async def test_what_cannot_be_given(around: World, words: tuple[str, ...], status: int) -> None:
    """Malformed role names, an unknown issuer, or too many roles."""
    ran = await _gateway(around, *(w.replace("ISSUER", _new_user(4).issuer) for w in words))
    assert status == ran.exit_code


async def test_granting_warns_where_roles_are_not_read(tmp_path: Path) -> None:
    """Granting a role that has no effect prints a warning."""
    async with world(tmp_path) as around:
        ran = await _gateway(around, "grant", _new_user(5).issuer, "a")
    assert "identity.roles_from_store is off" in ran.output
