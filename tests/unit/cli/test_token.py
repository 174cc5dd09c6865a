"""``gateway token inspect``: for people who look at a token."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.authn.api_key import key as api_key
from gateway.cli.main import main
from tests.fakes.jwts import signed as jwt
from tests.fakes.tokens import ALICE, AUDIENCE, minted, signed

CONFIG = """
server: {listen: ["127.0.0.1:0"], public_url: http://localhost}
redis: {url: "embedded://"}
magic: {mode: development}
upstreams: {app: {servers: ["http://127.0.0.1:1"]}}
routes: [{name: rest, match: {path: "/*"}, upstream: app}]
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a config in sight."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)


def inspect(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["token", "inspect", *words], input=stdin)


def now_token(lifetime_s: float = 900) -> str:
    return minted(time.time(), lifetime_s=lifetime_s)


def test_from_stdin() -> None:
    """Where shells keep no history of it; the audience is known only where an option names it."""
    ran = inspect("--json", stdin=now_token() + "\n")
    assert 0 == ran.exit_code, ran.output
    said = json.loads(ran.stdout)
    assert (ALICE.issuer, "not_checked", "ok") == (
        said["claims"]["iss"],
        said["checks"]["token_other_audience"],
        said["checks"]["signature"],
    )
    ran = inspect("--audience", AUDIENCE, "--json", now_token())
    assert (0, "ok") == (ran.exit_code, json.loads(ran.stdout)["checks"]["token_other_audience"])
    assert 1 == inspect("--audience", "did:magic:another", now_token()).exit_code


def test_with_a_config(tmp_path: Path) -> None:
    """Its audience and its ceiling hold; where it is broken, that matters only if it was named."""
    config = tmp_path / "config" / "gateway.yaml"
    config.parent.mkdir()
    config.write_text(CONFIG + "identity: {max_token_lifetime: 10m}\n")
    ran = inspect("--json", stdin=now_token())
    said = json.loads(ran.stdout)
    assert (1, "token_lives_too_long") == (ran.exit_code, said["reason"])
    assert "ok" == said["checks"]["token_other_audience"]
    assert 0 == inspect(stdin=now_token(600)).exit_code

    config.write_text("nonsense")
    ran = inspect(stdin=now_token())
    assert (0, True) == (ran.exit_code, "is invalid and was not used" in ran.stderr)
    assert 2 == inspect("--config", str(config), stdin=now_token()).exit_code
    assert 2 == inspect("--config", "absent.yaml", stdin=now_token()).exit_code


def test_for_people() -> None:
    """Claims, times with ages, checks by outcome, and the checks that were not made."""
    ran = inspect(stdin=signed(time.time() - 3600))
    lines = ran.stdout.splitlines()
    assert (1, "did token") == (ran.exit_code, lines[0])
    assert any(ALICE.issuer in line for line in lines)
    assert any(line.startswith("  iat ") and "Z (1:00:0" in line for line in lines)
    assert "failed: token_expired" in lines
    assert "not checked: token_other_audience" in lines
    assert "token_expired: `ext` is over." in ran.stderr
    assert "Z (in 0:" in inspect(stdin=now_token()).stdout


def test_a_terminal_is_written_to_by_nobody_else() -> None:
    """What a token says is printed in ASCII, without control characters."""
    did_token = signed(time.time(), sub="\x1b[2J", ext=2**53)
    json_web_token = jwt({"sub": "\x7f\x9b\x1b[2J"})
    for credential in (did_token, json_web_token):
        said = inspect(stdin=credential).stdout
        assert "\\u001b[2J" in said
        assert said.isascii()
        assert said.replace("\n", "").isprintable()
    assert "after the year 9999" in inspect(stdin=did_token).stdout


def test_an_api_key() -> None:
    """Its id is shown, never its secret."""
    key, parts = api_key.format_key(b"i" * 10, b"s" * 32)
    for words in ((), ("--json",)):
        ran = inspect(*words, stdin=key)
        assert (0, True, False) == (
            ran.exit_code,
            parts.id in ran.output,
            parts.secret in ran.output,
        )


def test_what_is_no_text_is_no_token() -> None:
    """Such as the wrong file."""
    ran = CliRunner().invoke(main, ["token", "inspect"], input=b"\xff\xfe")
    assert (1, True) == (ran.exit_code, "refused: token_not_base64" in ran.stderr), ran.output


@pytest.mark.parametrize(
    ("url", "status"),
    [
        pytest.param("ftp://127.0.0.1", 2, id="scheme"),
        pytest.param("http://[::1", 2, id="bracket"),
        pytest.param("http://127.0.0.1:abc", 2, id="port"),
        pytest.param("http:///x", 2, id="no-host"),
        pytest.param("http://a b", 3, id="space"),
        pytest.param(f"http://{'a' * 64}.example", 3, id="long-label"),
        pytest.param("http://127.0.0.1:1/é", 3, id="not-ascii"),
    ],
)
def test_a_token_is_minted_by_a_gateway_alone(url: str, status: int) -> None:
    """A URL that is none is wrong usage, and no traceback."""
    ran = CliRunner().invoke(main, ["token", "mint", "ada@example.com", "--url", url])
    assert (status, True) == (ran.exit_code, url in ran.stderr or "--url" in ran.stderr)


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        pytest.param(b"", 3, "was not reached", id="nothing"),
        pytest.param(b"+PONG\r\n", 3, "was not reached", id="no-http"),
        pytest.param(b"HTTP/1.0 404 x\r\n\r\n", 1, "is it in development mode?", id="refused"),
        pytest.param(b"HTTP/1.0 200 x\r\n\r\n\xff", 1, "not answer as a gateway", id="no-text"),
        pytest.param(b"HTTP/1.0 200 x\r\n\r\nWyIw", 0, "", id="token"),
    ],
)
def test_what_answers_may_be_no_gateway(answer: bytes, status: int, message: str) -> None:
    """Whatever it says, the command ends with a message; a token is printed."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        answered = pool.submit(_answer_one, server, answer)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        ran = CliRunner().invoke(main, ["token", "mint", "ada@example.com", "--url", url])
        answered.result()
    assert (status, True) == (ran.exit_code, message in ran.stderr), ran.output
    assert ran.stdout == ("" if status else "WyIw\n")


def _answer_one(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        connection.sendall(answer)
