"""What commands share."""

import json

import click
import pytest
from click.testing import CliRunner

from gateway.cli.common import NameParam, fail, fail_config, print_json, run, shown
from gateway.cli.main import main
from gateway.core.errors import (
    ConfigError,
    MagicUnavailable,
    NotReached,
    StartError,
    StoreUnavailable,
)
from gateway.core.issuer import CallerName
from gateway.revocation.name import NotRevocable, UnknownEmail

ISSUER = "did:ethr:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


async def _failing(error: Exception) -> None:
    raise error


async def _one() -> int:
    return 1


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        pytest.param(StoreUnavailable("down"), 3, "the store was not reached: down", id="store"),
        pytest.param(MagicUnavailable("down"), 3, "Magic was not reached: down", id="magic"),
        pytest.param(NotRevocable("a service"), 2, "a service", id="no-such-revocation"),
        pytest.param(UnknownEmail("no user"), 1, "no user", id="no-user"),
        pytest.param(NotReached("Magic"), 3, "Magic", id="server"),
        pytest.param(StartError("no key"), 1, "no key", id="cannot-run-here"),
    ],
)
def test_a_failure_has_an_exit_status(
    capsys: pytest.CaptureFixture[str], error: Exception, status: int, message: str
) -> None:
    """And a message on standard error, without a traceback."""
    with pytest.raises(SystemExit) as ended:
        run(_failing(error))
    assert (status, ("", f"gateway: {message}\n")) == (ended.value.code, capsys.readouterr())


def test_a_success_returns_its_value() -> None:
    """The command goes on with it."""
    assert 1 == run(_one())


def test_an_unusable_config(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, and one problem a line."""
    with pytest.raises(SystemExit) as ended:
        fail_config(ConfigError(["a: x", "b: y"]))
    assert (2, ("", "a: x\nb: y\n")) == (ended.value.code, capsys.readouterr())


def test_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    """It names the program."""
    with pytest.raises(SystemExit) as ended:
        fail("no", 1)
    assert (1, ("", "gateway: no\n")) == (ended.value.code, capsys.readouterr())


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One document on standard output."""
    print_json({"a": [1, "ä"]})
    assert {"a": [1, "ä"]} == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("text", [ISSUER, ISSUER.lower()])
def test_an_issuer_in_any_spelling(text: str) -> None:
    """The command gets the canonical one."""
    name = NameParam().convert(text, None, None)
    assert CallerName(ISSUER, is_email=False) == name == NameParam().convert(name, None, None)


def test_an_email_in_any_spelling() -> None:
    """The command gets the canonical one, and knows that it is one."""
    name = NameParam().convert(" Ada@Example.com", None, None)
    assert CallerName("ada@example.com", is_email=True) == name


def test_a_mistyped_issuer() -> None:
    """Its checksum is wrong."""
    with pytest.raises(click.BadParameter):
        NameParam().convert(ISSUER[:-1] + "D", None, None)


@pytest.mark.parametrize("command", [["sessions", "list", ISSUER], ["check"]])
def test_a_missing_config_ends_every_command_with_status_2(command: list[str]) -> None:
    """The status of wrong usage and of faulty configs."""
    result = CliRunner().invoke(main, [*command, "--config", "/nowhere.yaml"])
    assert 2 == result.exit_code


def test_text_of_another_program_writes_no_control_sequence() -> None:
    """Whatever is in the store, or a server says."""
    assert "caf\u00e9 \ufffd[31m\ufffd" == shown("caf\u00e9 \x1b[31m\n")
