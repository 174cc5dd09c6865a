"""``gateway sessions``, beside a running gateway."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.authn.did_token.mint import TokenSigner, signer
from gateway.cli.main import main
from gateway.store.connect import redis_client as connect
from tests.fakes.http import fetch
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


async def _sign_in(around: World, by: TokenSigner, email: str) -> str:
    """The cookie of a new session of a user with this email."""
    bearer = around.bearer(by)
    around.magic.add_user(by.issuer, email)
    answer = await fetch(around.port, "POST", "/_gateway/session", bearer)
    assert 201 == answer.status, answer
    return "Cookie: " + answer.value("Set-Cookie").partition(";")[0]


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
    assert ada.issuer == session["issuer"]
    assert {"id", "device", "ip", "created_at", "last_seen_at", "expires_at", "issuer"} == set(
        session
    )


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


async def test_a_user_is_named_by_email(around: World) -> None:
    """In any spelling; all issuers of the address are meant, and named. No other key is written."""
    ada, again = _new_user(30), _new_user(31)
    cookies = [await _sign_in(around, by, "Grace@Example.com") for by in (ada, again)]
    other = await _sign_in(around, _new_user(32), "other@example.com")

    listed = json.loads((await _gateway(around, "list", "grace@example.com", "--json")).output)
    shown = await _gateway(around, "list", " GRACE@example.com")
    ended = await _gateway(around, "revoke", "grace@EXAMPLE.com", "--json")

    assert {ada.issuer, again.issuer} == {session["issuer"] for session in listed}
    assert f"of {ada.issuer}" in shown.output
    said = json.loads(ended.output)
    assert (0, "grace@example.com", True) == (ended.exit_code, said["email"], said["is_complete"])
    assert {ada.issuer: 1, again.issuer: 1} == {
        each["issuer"]: each["sessions_ended"] for each in said["revoked"]
    }
    for cookie in cookies:
        await _becomes(around, cookie, 401)
    assert 200 == await _status(around, other)
    async with connect(around.store.url, 1) as client:
        assert [] == await client.keys("revoked:*@*")
        assert [] == await client.keys("sessions-of:*@*")


async def test_a_user_without_a_session_is_named_by_email(around: World) -> None:
    """Magic knows the issuer; a bearer token is revoked by it."""
    ada = _new_user(33)
    bearer = around.bearer(ada)
    around.magic.add_user(ada.issuer, "hopper@example.com")
    assert 200 == await _status(around, bearer)
    ended = await _gateway(around, "revoke", "Hopper@example.com")
    assert (0, f"{ada.issuer}: 0 sessions ended\n") == (ended.exit_code, ended.output)
    await _becomes(around, bearer, 401)


async def test_an_email_of_no_user(around: World) -> None:
    """Exit status 1: the answer is no, and nothing was written."""
    for words in (("list",), ("revoke",), ("revoke", "--id", "0" * 32)):
        ran = await _gateway(around, words[0], "none@example.com", *words[1:])
        assert (1, True) == (ran.exit_code, "no user has" in ran.stderr)
    async with connect(around.store.url, 1) as client:
        assert [] == await client.keys("*none@example.com*")


async def test_while_magic_is_away_the_index_is_asked(around: World) -> None:
    """A warning says that more issuers may exist; without an entry, exit status 3."""
    ada = _new_user(34)
    await _sign_in(around, ada, "katherine@example.com")
    around.magic.mood = Mood.BROKEN
    try:
        ended = await _gateway(around, "revoke", "katherine@example.com")
        unknown = await _gateway(around, "revoke", "none@example.com")
    finally:
        around.magic.mood = Mood.WELL
    assert (0, True) == (ended.exit_code, "1 sessions ended" in ended.stdout)
    assert "issuers without a session may be missing" in ended.stderr
    assert (3, True) == (unknown.exit_code, "Magic was not reached" in unknown.stderr)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("x", "neither an issuer nor an email"),
        ("service:reports", "gateway api-keys revoke --owner reports"),
        ("api-key:abcdefghijklmnop", "gateway api-keys revoke ID"),
        ("cert:spiffe://a.example/x", "credentials.client_certificates.names"),
        ("https://id.example#42", "credentials.jwt"),
    ],
)
async def test_a_name_that_cannot_be_revoked_is_refused(
    around: World, name: str, remedy: str
) -> None:
    """Exit status 2, and what to do instead; nothing was written."""
    ran = await _gateway(around, "revoke", name)
    assert (2, True) == (ran.exit_code, remedy in ran.stderr), ran.output
    async with connect(around.store.url, 1) as client:
        assert 0 == await client.exists(f"revoked:{name}")


async def test_the_operator_lists_who_is_signed_in(around: World) -> None:
    """All users, those of one email, or of a domain; each once, with the number of sessions."""
    ada, bob = _new_user(40), _new_user(41)
    for by, email in ((ada, "ada@one.test"), (ada, "ada@one.test"), (bob, "Bob@Two.test")):
        await _sign_in(around, by, email)

    def users(ran: Result) -> dict[str, tuple[str, int]]:
        listed = json.loads(ran.stdout)["users"]
        return {user["issuer"]: (user["email"], user["sessions"]) for user in listed}

    everyone = users(await _gateway(around, "list", "--json"))
    assert {ada.issuer: ("ada@one.test", 2), bob.issuer: ("Bob@Two.test", 1)}.items() <= (
        everyone.items()
    )
    for wanted in ("BOB@two.test", "@two.test"):
        found = users(await _gateway(around, "list", "--email", wanted, "--json"))
        assert {bob.issuer: ("Bob@Two.test", 1)} == found
    shown = await _gateway(around, "list", "--email", "@one.test")
    assert f"{ada.issuer}  ada@one.test\n    2 sessions, latest sign-in 2" in shown.stdout

    async with connect(around.store.url, 1) as client:
        await client.delete(f"user:{bob.issuer}")
    assert ("bob@two.test", 1) == users(await _gateway(around, "list", "--json"))[bob.issuer]

    await _gateway(around, "revoke", bob.issuer)
    for wanted in ("bob@two.test", "@two.test"):
        none = await _gateway(around, "list", "--email", wanted, "--json")
        assert (1, []) == (none.exit_code, json.loads(none.stdout)["users"])


async def test_the_list_of_users_is_bounded(around: World) -> None:
    """It says that there are more."""
    for number in (42, 43, 44):
        await _sign_in(around, _new_user(number), "ada@three.test")
    ran = await _gateway(around, "list", "--email", "@three.test", "--limit", "2", "--json")
    said = json.loads(ran.stdout)
    assert (2, True) == (len(said["users"]), said["has_more"])
    assert "--limit" in ran.stderr
    ran = await _gateway(around, "list", "--email", "@three.test", "--limit", "3", "--json")
    assert (3, False, "") == (
        len(json.loads(ran.stdout)["users"]),
        json.loads(ran.stdout)["has_more"],
        ran.stderr,
    )


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_a_store_that_is_away(tmp_path: Path, how: str) -> None:
    """Exit status 3: nothing is known, and nothing was ended; nor is one waited for without end."""
    async with world(tmp_path) as around:
        around.store.kill() if how == "gone" else around.store.pause()
        name = _new_user(7).issuer
        for words in (
            ("list",),
            ("list", "ada@example.com"),
            ("list", name),
            ("revoke", name),
            ("revoke", "--id", "0" * 32),
        ):
            answer = await _gateway(around, *words)
            assert (3, True) == (answer.exit_code, "not reached" in answer.stderr)


async def test_wrong_usage(around: World) -> None:
    """Exit status 2; so is an issuer that was mistyped."""
    ada = _new_user(9).issuer
    for name in (ada[:-1], ada[:11] + ada[11:].swapcase(), "a b", ""):
        for command in ("list", "revoke"):
            assert 2 == (await _gateway(around, command, name)).exit_code, name
    assert 1 == (await _gateway(around, "list", ada.lower())).exit_code
    assert 2 == (await _gateway(around, "list", ada, "--email", "ada@example.com")).exit_code
    assert 2 == (await _gateway(around, "list", "--email", "example.com")).exit_code
    assert 2 == (await _gateway(around, "list", "--limit", "0")).exit_code
    assert 2 == (await _gateway(around, "revoke")).exit_code
    assert 2 == (await _gateway(around, "revoke", "x", "--forever")).exit_code
