"""``gateway keys``."""

import errno
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.assertion.token import signing_key
from gateway.cli.main import main
from gateway.config.audit import decode_audit_key
from gateway.config.texts import seal_key
from gateway.hooks.signature import key_of


def generated(*options: str) -> str:
    """What it prints."""
    ran = CliRunner().invoke(main, ["keys", "generate", *options])
    assert 0 == ran.exit_code, ran.output
    return ran.stdout


@pytest.mark.parametrize(
    ("options", "algorithm"),
    [([], "EdDSA"), (["--alg", "EdDSA"], "EdDSA"), (["--alg", "ES256"], "ES256")],
)
def test_a_key_is_printed(options: list[str], algorithm: str) -> None:
    """One that the config takes, and another each time."""
    key = signing_key(generated(*options))
    assert algorithm == key.algorithm
    assert key.key_id != signing_key(generated(*options)).key_id


def test_a_key_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    """And never over another, which may be in use."""
    path = tmp_path / "key.pem"
    assert "" == generated("--out", str(path))
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    before = path.read_text()
    assert signing_key(before)
    again = CliRunner().invoke(main, ["keys", "generate", "--out", str(path)])
    assert (1, before) == (again.exit_code, path.read_text())
    assert os.strerror(errno.EEXIST) in again.output


def test_a_key_for_sessions(tmp_path: Path) -> None:
    """One line that session.keys takes."""
    text = generated("--session")
    assert seal_key(text.strip())
    assert text != generated("--session")
    generated("--session", "--out", str(tmp_path / "session.key"))
    assert seal_key((tmp_path / "session.key").read_text().strip())


def test_a_secret_of_a_webhook_is_printed() -> None:
    """One that signs, and another each time; it is no key for sessions."""
    secret = generated("--webhook").strip()
    assert 32 == len(key_of(secret))
    assert secret != generated("--webhook").strip()
    ran = CliRunner().invoke(main, ["keys", "generate", "--webhook", "--session"])
    assert 2 == ran.exit_code


def test_a_key_for_audit_files_is_printed() -> None:
    """One that audit.key takes; two kinds at a time are refused."""
    text = generated("--audit").strip()
    assert 32 == len(decode_audit_key(text))
    assert text != generated("--audit").strip()
    for other in ("--session", "--webhook"):
        ran = CliRunner().invoke(main, ["keys", "generate", "--audit", other])
        assert 2 == ran.exit_code
