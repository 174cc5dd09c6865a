"""Templates of operators, before any is rendered."""

import errno
import os
from pathlib import Path

import pytest

from gateway.core.errors import StartError
from gateway.pages.templates import forget, templates


def test_what_an_operator_does_not_replace_comes_along(tmp_path: Path) -> None:
    """One file in the folder is enough."""
    (tmp_path / "login.html").write_text("mine")
    (tmp_path / "notes.txt").write_text("no template")
    made = templates(str(tmp_path))
    assert "mine" == made.get_template("login.html").render()
    assert made.get_template("account.html").name == "account.html"
    assert templates("") is templates("")


def test_a_folder_that_is_not_there() -> None:
    """It is named."""
    absent = os.strerror(errno.ENOENT)
    with pytest.raises(StartError, match=rf"pages\.templates: nowhere: {absent}"):
        templates("nowhere")


@pytest.mark.parametrize(
    ("body", "expected"), [(b"\xff", "expected UTF-8"), (b"x" * (257 << 10), "up to 256 KiB")]
)
def test_files_that_are_no_templates(tmp_path: Path, body: bytes, expected: str) -> None:
    """They are named, too."""
    (tmp_path / "error.html").write_bytes(body)
    with pytest.raises(StartError, match=expected):
        templates(str(tmp_path))


def test_templates_that_come_along_are_kept() -> None:
    """All configs share them."""
    made = templates("")
    base = made.get_template("base.html")
    forget(made)
    assert base is templates("").get_template("base.html")
    assert base.root_render_func.__globals__
