"""``gateway users``: what the store holds of people, on a real gateway's store."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.core.issuer import canonical_did
from tests.fakes.magic import Mood
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


MANY = [canonical_did(f"did:ethr:0x{number:040x}") for number in range(1, 1001)]


async def users(around: World, *words: str, stdin: str | None = None) -> Result:
    """The outcome of ``gateway users …`` with the gateway's config."""
    words = ("users", *words, "--config", str(around.gateway.config))
    return await asyncio.to_thread(CliRunner().invoke, main, words, input=stdin)


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


async def test_show_and_forget_by_email(around: World) -> None:
    """All issuers of the address are meant; an address of no user is status 1."""
    assert 200 == (await around.get("/x", await around.sign_in())).status
    shown = await users(around, "show", "Alice@Example.com", "--json")
    assert ALICE.issuer in [record["issuer"] for record in json.loads(shown.stdout)]
    assert 0 == (await users(around, "forget", "alice@example.com")).exit_code
    assert 1 == (await users(around, "show", ALICE.issuer)).exit_code
    for command in ("show", "forget"):
        assert 1 == (await users(around, command, "none@example.com")).exit_code
        assert 2 == (await users(around, command, "none")).exit_code


async def test_forget_all(around: World) -> None:
    """All records go, and nothing else; without a name it has to be said."""
    for by in (ALICE, BOB):
        assert 200 == (await around.get("/x", around.bearer(by))).status
    assert 2 == (await users(around, "forget")).exit_code
    assert {"forgotten": 2} == json.loads((await users(around, "forget", "--all", "--json")).stdout)
    assert 1 == (await users(around, "show", BOB.issuer)).exit_code


async def test_warm(around: World, tmp_path: Path) -> None:
    """A thousand users, while Magic is away in the middle; then all of them are fresh."""
    for issuer in MANY[3:]:
        around.magic.add_user(issuer, f"{issuer[-4:]}@example.com")
    file = tmp_path / "issuers.txt"
    file.write_text("# all of them\n\n" + "\n".join([*MANY, MANY[5].lower()]))
    around.magic.retry_after = "1"
    warming = asyncio.create_task(users(around, "warm", str(file), "--json"))
    async with asyncio.timeout(20):
        while len(around.magic.calls) < 300:
            await asyncio.sleep(0.005)
        around.magic.mood, asked_before = Mood.UNAVAILABLE, len(around.magic.calls)
        while len(around.magic.calls) == asked_before:
            await asyncio.sleep(0.005)
    around.magic.mood = Mood.WELL

    ran = await warming
    assert 1000 < len(around.magic.calls) <= 1008, "those under way ask twice, and no others"
    assert 0 == ran.exit_code, ran.output
    said = json.loads(ran.stdout)
    assert (997, 3, 0, 0) == tuple(said[n] for n in ("known", "unknown", "fresh", "failed"))
    assert set(MANY[:3]) == set(said["unknown_issuers"])
    shown = await users(around, "show", MANY[500], "--json")
    assert f"{MANY[500][-4:]}@example.com" == json.loads(shown.stdout)["email"]

    around.magic.calls.clear()
    again = await users(around, "warm", stdin="\n".join(MANY))
    assert (0, "0 known, 3 unknown, 997 fresh, 0 failed\n") == (again.exit_code, again.stdout)
    assert 3 == len(around.magic.calls)


async def test_warm_of_what_is_no_list(around: World) -> None:
    """Malformed lines are named by number, not by content; Magic is not asked."""
    lines = f"{ALICE.issuer}\nhunter2\n\n\xff\n# fine\ndid:ethr:0x12\nservice:x\n"
    ran = await users(around, "warm", "-", stdin=lines)
    assert 2 == ran.exit_code
    assert [2, 4, 6, 7] == [number for number in range(9) if f"line {number}: " in ran.stderr]
    assert "hunter2" not in ran.output
    assert 2 == (await users(around, "warm", "--patience", "long", stdin="")).exit_code
    assert [] == around.magic.calls


async def test_warm_while_magic_is_away(around: World) -> None:
    """Who was not asked about is counted as failed, with status 3."""
    around.magic.mood, around.magic.retry_after = Mood.UNAVAILABLE, "60"
    try:
        stdin = f"{ALICE.issuer}\n{BOB.issuer}"
        ran = await users(around, "warm", "--patience", "5s", stdin=stdin)
    finally:
        around.magic.mood = Mood.WELL
    assert (3, "0 known, 0 unknown, 0 fresh, 2 failed\n") == (ran.exit_code, ran.stdout)
    assert "status 503" in ran.stderr
