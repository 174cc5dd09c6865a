"""``gateway sessions``, beside a running gateway."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.cli.main import main
from gateway.store.connect import connect
from tests.fakes.magic import Mood
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIREFOX = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"


def _new_user(number: int) -> TokenSigner:
    """Return the signer of a user that no other test uses."""
    return signer(bytes([13, number]) * 16)


async def _gateway(around: World, *words: str) -> Result:
    """What the command says."""
    return await _run(*words, "--config", str(around.gateway.config))


async def _run(*words: str) -> Result:
    """In a thread, as it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["sessions", *words])


async def _status(around: World, cookie: str) -> int:
    return (await around.get("/private", cookie)).status


async def _becomes(around: World, cookie: str, status: int) -> None:
    async with asyncio.timeout(20):
        while await _status(around, cookie) != status:
            await asyncio.sleep(0.01)


async def test_the_operator_lists_the_sessions_of_a_user(around: World) -> None:
    """In lines, or for programs."""
    ada = _new_user(1)
    await around.sign_in(ada, 900, FIREFOX)

    shown = await _gateway(around, "list", ada.issuer)
    listed = json.loads((await _gateway(around, "list", ada.issuer, "--json")).output)

    assert 0 == shown.exit_code
    assert "Firefox on Linux, 127.0.0.1\n    since 2" in shown.output
    assert "last seen ?" in shown.output
    (session,) = listed
    assert session["id"] in shown.output
    assert ("Firefox on Linux", "127.0.0.1", None) == (
        session["device"],
        session["ip"],
        session["last_seen_at"],
    )
    assert session["created_at"] < session["expires_at"]
    assert {"id", "device", "ip", "created_at", "last_seen_at", "expires_at"} == set(session)


async def test_the_operator_ends_all_sessions_of_a_user(around: World) -> None:
    """The gateway obeys at once, tokens are revoked too, and other users stay signed in."""
    ada = _new_user(2)
    bearer = around.bearer(ada)
    cookies = [await around.sign_in(ada) for _ in range(2)]
    other = await around.sign_in(_new_user(3))
    assert [200, 200] == [await _status(around, cookie) for cookie in cookies]

    ended = await _gateway(around, "revoke", ada.issuer, "--json")

    said = json.loads(ended.output)
    assert (0, ada.issuer, 2) == (ended.exit_code, said["issuer"], said["sessions_ended"])
    assert said["revoked_at"].endswith("Z")
    assert said["magic_signed_out"] is True
    assert [{"issuer": ada.issuer}] == around.magic.logouts
    for cookie in cookies:
        await _becomes(around, cookie, 401)
    await _becomes(around, bearer, 401)
    assert 200 == await _status(around, other)


async def test_an_unknown_issuer_can_be_revoked(around: World) -> None:
    """There may be tokens."""
    ended = await _gateway(around, "revoke", _new_user(8).issuer)
    assert (0, f"{_new_user(8).issuer}: 0 sessions ended\n") == (ended.exit_code, ended.output)


async def test_an_issuer_may_be_typed_in_one_case_and_not_wrongly(around: World) -> None:
    """A mistyped issuer is an error: reporting it as revoked would mislead."""
    ada = _new_user(9)
    cookie = await around.sign_in(ada)
    wrong = await _gateway(around, "revoke", ada.issuer[:-1])
    assert (2, 200) == (wrong.exit_code, await _status(around, cookie))

    ended = await _gateway(around, "revoke", ada.issuer.lower())
    assert (0, f"{ada.issuer}: 1 sessions ended\n") == (ended.exit_code, ended.output)


async def test_a_magic_that_does_not_hear_of_it_is_told_of(around: World) -> None:
    """What was revoked here stays so."""
    ada = _new_user(10)
    around.magic.mood = Mood.BROKEN
    try:
        ended = await _gateway(around, "revoke", ada.issuer)
        said = json.loads((await _gateway(around, "revoke", ada.issuer, "--json")).output)
    finally:
        around.magic.mood = Mood.WELL
    assert 0 == ended.exit_code
    assert "Magic was not reached" in ended.stderr
    assert said["magic_signed_out"] is False


async def test_the_operator_ends_one_session(around: World) -> None:
    """By the id that the list names; the others go on."""
    ada = _new_user(4)
    first = await around.sign_in(ada)
    (session,) = json.loads((await _gateway(around, "list", ada.issuer, "--json")).output)
    second = await around.sign_in(ada)

    ended = await _gateway(around, "revoke", ada.issuer, "--id", session["id"])

    assert (0, "1 session ended\n") == (ended.exit_code, ended.output)
    await _becomes(around, first, 401)
    assert 200 == await _status(around, second)


async def test_the_operator_ends_a_session_by_its_id_alone(around: World) -> None:
    """A session's id is enough: apps are told it, and it is in their logs."""
    ada = _new_user(20)
    cookie, other = await around.sign_in(ada), await around.sign_in(_new_user(21))
    (session,) = json.loads((await _gateway(around, "list", ada.issuer, "--json")).output)

    async with connect(around.store.url, 1) as others:
        await others.set(b"session:\xff", b"of another program, whose keys are no text", ex=60)

    ended = await _gateway(around, "revoke", "--id", session["id"], "--json")
    again = await _gateway(around, "revoke", "--id", session["id"])

    assert {"issuer": None, "sessions_ended": 1} == json.loads(ended.output)
    await _becomes(around, cookie, 401)
    assert 200 == await _status(around, other)
    assert (1, "gateway: there is no such session\n") == (again.exit_code, again.stderr)
    assert 1 == (await _gateway(around, "list", ada.issuer)).exit_code


async def test_another_gateways_sessions_are_not_looked_at(around: World, tmp_path: Path) -> None:
    """On one store with other gateways, each by its prefix."""
    ada = _new_user(22)
    cookie = await around.sign_in(ada)
    (session,) = json.loads((await _gateway(around, "list", ada.issuer, "--json")).output)
    config = tmp_path / "gateway.yaml"
    text = around.gateway.config.read_text()
    config.write_text(text.replace("redis: {", 'redis: {prefix: "other:", '))

    ended = await _run("revoke", "--id", session["id"], "--config", str(config))

    assert 1 == ended.exit_code
    assert 200 == await _status(around, cookie)


@pytest.mark.parametrize(
    "words", [["list"], ["revoke", "--id", "0" * 32]], ids=["list", "revoke-one"]
)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["for-people", "for-programs"])
async def test_where_there_is_none_the_answer_is_no(
    around: World, words: list[str], form: list[str]
) -> None:
    """Exit status 1; programs get their JSON nevertheless."""
    answer = await _gateway(around, words[0], _new_user(5).issuer, *words[1:], *form)

    assert 1 == answer.exit_code
    assert "no" in answer.stderr
    if form:
        json.loads(answer.stdout)


async def test_what_cannot_be_opened_is_listed_and_ended_all_the_same(
    around: World, tmp_path: Path
) -> None:
    """An operator who has not got the key still sees that there is a session."""
    ada = _new_user(6)
    cookie = await around.sign_in(ada)
    config = tmp_path / "gateway.yaml"
    text = around.gateway.config.read_text()
    config.write_text(text.replace("a sealing key", "another sealing key"))

    listed = await _run("list", ada.issuer, "--json", "--config", str(config))
    ended = await _run("revoke", ada.issuer, "--config", str(config))

    (session,) = json.loads(listed.output)
    assert (None, None, None) == (session["device"], session["ip"], session["created_at"])
    assert 0 == ended.exit_code
    await _becomes(around, cookie, 401)


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_a_store_that_is_away(tmp_path: Path, how: str) -> None:
    """Exit status 3: nothing is known, and nothing was ended; nor is one waited for without end."""
    async with world(tmp_path) as around:
        around.store.kill() if how == "gone" else around.store.pause()
        name = _new_user(7).issuer
        for words in (("list", name), ("revoke", name), ("revoke", "--id", "0" * 32)):
            answer = await _gateway(around, *words)
            assert (3, True) == (answer.exit_code, "not reached" in answer.stderr)


async def test_wrong_usage(around: World) -> None:
    """Exit status 2; so is an issuer that was mistyped."""
    ada = _new_user(9).issuer
    for name in (ada[:-1], ada[:11] + ada[11:].swapcase(), "a b", ""):
        for command in ("list", "revoke"):
            assert 2 == (await _gateway(around, command, name)).exit_code, name
    assert 1 == (await _gateway(around, "list", ada.lower())).exit_code
    assert 2 == (await _gateway(around, "list")).exit_code
    assert 2 == (await _gateway(around, "revoke")).exit_code
    assert 2 == (await _gateway(around, "revoke", "x", "--forever")).exit_code
