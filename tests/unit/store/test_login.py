"""Credentials of the store from files that change."""

import logging
from pathlib import Path

import pytest

from gateway.core.errors import StartError
from gateway.store.login import Login, LoginOptions, login_of


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (LoginOptions("ann", "s3cret"), ("ann", "s3cret")),
        (LoginOptions(password="s3cret"), ("s3cret",)),
    ],
)
def test_what_the_config_says(options: LoginOptions, expected: tuple[str, ...]) -> None:
    """Without a user name, the server takes the password for that of its default user."""
    login = login_of(options)

    assert login is not None
    assert expected == login.get_credentials()
    assert login_of(LoginOptions()) is None


async def test_files_are_read_for_each_connection(tmp_path: Path) -> None:
    """A newline at the end is none of the secret."""
    user, password = tmp_path / "user", tmp_path / "password"
    user.write_text("ann\n")
    password.write_text("old\r\n")
    login = Login(LoginOptions(username_file=str(user), password_file=str(password)))
    assert ("ann", "old") == await login.get_credentials_async()

    password.write_text(" new ")

    assert ("ann", " new ") == login.get_credentials()


def test_a_change_is_seen_within_a_second(tmp_path: Path) -> None:
    """The files are looked at once a second at most."""
    password = tmp_path / "password"
    password.write_text("old")
    login = Login(LoginOptions(password_file=str(password)))
    assert 0 == login.look(10.0)
    password.write_text("longer")

    assert [0, 1, 1] == [login.look(at_s) for at_s in (10.9, 11.0, 12.0)]


@pytest.mark.parametrize("text", [None, b"", b"\xff"])
def test_a_file_that_cannot_be_used_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: bytes | None
) -> None:
    """It is told by its path; at the start it is an error."""
    password = tmp_path / "password"
    password.write_text("s3cret")
    options = LoginOptions(password_file=str(password))
    login = Login(options)
    if text is None:
        password.unlink()
    else:
        password.write_bytes(text)

    with caplog.at_level(logging.WARNING):
        assert ("s3cret",) == login.get_credentials()
    [message] = caplog.messages
    assert str(password) in message
    assert "s3cret" not in message
    with pytest.raises(StartError, match="password"):
        Login(options)
