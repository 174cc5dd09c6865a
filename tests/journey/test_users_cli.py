"""``gateway users``: what the store holds of people, on a real gateway's store."""

import asyncio
import json

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def users(around: World, *words: str) -> Result:
    """The outcome of ``gateway users …`` with the gateway's config."""
    config = ["--config", str(around.gateway.config)]
    return await asyncio.to_thread(CliRunner().invoke, main, ["users", *words, *config])


async def test_show_and_forget(around: World) -> None:
    """The record is shown with its age and as ours; once it is deleted, Magic is asked again."""
    assert 200 == (await around.get("/x", around.bearer())).status
    shown = await users(around, "show", ALICE.issuer, "--json")
    record = json.loads(shown.stdout)
    assert ("alice@example.com", True) == (record["email"], record["is_sealed_by_us"])
    assert 0 <= record["age_s"] < 60
    assert "seal" not in record

    assert 0 == (await users(around, "forget", ALICE.issuer.lower())).exit_code
    assert 1 == (await users(around, "show", ALICE.issuer)).exit_code
    assert 1 == (await users(around, "forget", ALICE.issuer)).exit_code

    around.magic.calls.clear()
    assert 200 == (await around.get("/x", around.bearer())).status
    assert 1 == len(around.magic.calls)


async def test_forget_all(around: World) -> None:
    """All records go, and nothing else; without a name it has to be said."""
    for by in (ALICE, BOB):
        assert 200 == (await around.get("/x", around.bearer(by))).status
    assert 2 == (await users(around, "forget")).exit_code
    assert {"forgotten": 2} == json.loads((await users(around, "forget", "--all", "--json")).stdout)
    assert 1 == (await users(around, "show", BOB.issuer)).exit_code
