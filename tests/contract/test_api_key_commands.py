"""What ``gateway api-keys`` does and says, on a real store."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.fakes import servers
from tests.fakes.tokens import ALICE

CONFIG = """
server: {{public_url: https://app.example.com}}
redis: {{url: "{url}"}}
magic: {{secret_key: sk_test_1}}
session: {{keys: {keys}}}
"""
OLD, NEW = (
    '"an old sealing key for tests, long enough"',
    '"a new sealing key for tests, long enough"',
)


class Desk(NamedTuple):
    """Where commands are given."""

    config: Path
    url: str

    def does(self, *words: str) -> Result:
        """What comes of ``gateway api-keys …``."""
        return CliRunner().invoke(main, ["api-keys", *words, "--config", str(self.config)])

    def seals_with(self, *keys: str) -> None:
        """From now on."""
        self.config.write_text(CONFIG.format(url=self.url, keys=f"[{', '.join(keys)}]"))

    def made(self, *words: str) -> dict[str, str]:
        """A new key, as it is described."""
        made = self.does("create", *words, "--json")
        assert made.exit_code == 0, made.output
        described: dict[str, str] = json.loads(made.stdout)
        return described


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with servers.valkey() as store:
        yield store.url


@pytest.fixture
def desk(url: str, tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "gateway.yaml", url)
    desk.seals_with(OLD)
    return desk


def test_a_key_is_shown_once(desk: Desk) -> None:
    """On standard output, alone, so that it can be piped; never again."""
    made = desk.does("create", "nightly", "--owner", "billing")
    key = re.fullmatch(r"gwk_([a-z2-7]{16})_[a-z2-7]{52}_[0-9a-f]{8}\n", made.stdout)
    assert key is not None
    assert f"id {key[1]}" in made.stderr
    later = "".join(
        desk.does(*words).output
        for words in (["list"], ["list", "--json"], ["show", key[1]], ["show", key[1], "--json"])
    )
    assert key[1] in later
    assert made.stdout.split("_")[2] not in later


def test_what_is_said_of_a_key(desk: Desk) -> None:
    """All that was asked for when it was made, its state, and when it was used."""
    words = ("--scope", "write", "--scope", "read", "--rate", "5/hour", "--expires", "1h")
    made = desk.made("nightly", "--owner", "billing", *words)
    said = json.loads(desk.does("show", made["id"], "--json").stdout)
    assert {key: made[key] for key in said} == said
    assert ("service:billing", ["read", "write"], "5/hour", "active", None) == (
        *(said["owner"], said["scopes"], said["rate"], said["state"]),
        said["last_used_at"],
    )
    assert said in json.loads(desk.does("list", "--json").stdout)
    assert "scopes: read write\n" in desk.does("show", made["id"]).stdout
    assert made["id"] in desk.does("list").stdout


def test_a_persons_did_is_spelled_as_their_tokens_spell_it(desk: Desk) -> None:
    """However it was typed."""
    assert ALICE.issuer == desk.made("a", "--owner", ALICE.issuer.lower())["owner"]
    assert ALICE.issuer == desk.made("a", "--owner", ALICE.issuer)["owner"]


def test_revoking(desk: Desk) -> None:
    """Is seen, and can be said twice."""
    made = desk.made("a", "--owner", "billing")
    for _ in range(2):
        assert f"revoked {made['id']}\n" == desk.does("revoke", made["id"]).stdout
    assert "revoked" == json.loads(desk.does("show", made["id"], "--json").stdout)["state"]


def test_revoking_a_key_that_was_found_somewhere(desk: Desk) -> None:
    """It is given whole, and only its id is said again."""
    made = desk.made("a", "--owner", "billing")
    revoked = desk.does("revoke", made["key"])
    assert f"revoked {made['id']}\n" == revoked.output
    assert "revoked" == json.loads(desk.does("show", made["key"], "--json").stdout)["state"]


@pytest.mark.parametrize("words", ["show", "revoke"])
def test_what_is_no_id_is_not_repeated(desk: Desk, words: str) -> None:
    """It may be most of a key."""
    broken = desk.made("a", "--owner", "billing")["key"][:-1]
    said = desk.does(words, broken)
    assert 2 == said.exit_code
    assert broken not in said.output


def test_revoking_all_of_an_owner(desk: Desk) -> None:
    """Revoke all keys of an owner, and one more key."""
    keys = [desk.made("a", "--owner", "leaver")["id"] for _ in range(2)]
    other, stays = (desk.made("a", "--owner", "stayer")["id"] for _ in range(2))
    said = desk.does("revoke", other, "--owner", "leaver").stdout
    assert {f"revoked {key}" for key in (*keys, other)} == set(said.splitlines())
    assert "active" == json.loads(desk.does("show", stays, "--json").stdout)["state"]


def test_sealing_keys_are_rotated(desk: Desk) -> None:
    """New in front, all sealed anew, old gone."""
    made = desk.made("a", "--owner", "billing")
    desk.seals_with(NEW, OLD)
    assert re.fullmatch(r"sealed anew: [1-9]\d*\n", desk.does("reseal").stdout)
    desk.seals_with(NEW)
    assert 0 == desk.does("show", made["id"]).exit_code


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["create", "x", "--owner", "a b"], 2, id="no-owner"),
        pytest.param(["create", "x", "--owner", "did:ethr:0x" + "aB" * 20], 2, id="bad-checksum"),
        pytest.param(["create", "x"], 2, id="owner-missing"),
        pytest.param(["create", "x y", "--owner", "a"], 2, id="no-name"),
        pytest.param(["create", "x", "--owner", "a", "--scope", "a b"], 2, id="no-scope"),
        pytest.param(["create", "x", "--owner", "a", "--expires", "soon"], 2, id="no-time"),
        pytest.param(["create", "x", "--owner", "a", "--rate", "fast"], 2, id="no-rate"),
        pytest.param(["show", "a" * 16], 1, id="show-what-is-not-there"),
        pytest.param(["revoke", "a" * 16], 1, id="revoke-what-is-not-there"),
        pytest.param(["revoke"], 2, id="revoke-nothing"),
        pytest.param(["revoke", "--owner", "unknown"], 1, id="revoke-of-an-unknown-owner"),
    ],
)
def test_commands_that_fail(desk: Desk, words: list[str], expected: int) -> None:
    """A status that programs can read, and a word of why."""
    result = desk.does(*words)
    assert expected == result.exit_code
    assert isinstance(result.exception, SystemExit)


def test_without_the_store(desk: Desk) -> None:
    """No key is created that could not be used."""
    unreachable = Desk(desk.config, "redis://127.0.0.1:1")
    unreachable.seals_with(OLD)
    result = unreachable.does("create", "x", "--owner", "a")
    assert (3, "") == (result.exit_code, result.stdout)


def test_without_a_sealing_key(desk: Desk) -> None:
    """Development mode makes one up in each process: no other would open the record."""
    desk.config.write_text(
        f'server: {{public_url: "http://localhost:8080"}}\nredis: {{url: "{desk.url}"}}\n'
        "magic: {mode: development}\n"
    )
    result = desk.does("create", "x", "--owner", "a")
    assert 2 == result.exit_code
    assert "session.keys" in result.stderr
