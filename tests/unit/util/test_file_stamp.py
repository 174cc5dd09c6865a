"""Stamps of files that are written or replaced."""

from pathlib import Path

import pytest

from gateway.util.file_stamp import stamp, stamp_if_there


def test_an_unchanged_file_keeps_its_stamp(tmp_path: Path) -> None:
    """Reading the stamp changes nothing."""
    path = tmp_path / "file"
    path.write_text("a")
    assert stamp(str(path)) == stamp(str(path)) == stamp_if_there(str(path))


def test_a_changed_link_has_another_stamp(tmp_path: Path) -> None:
    """Secrets are replaced so: the link changes, and no file does."""
    link = tmp_path / "link"
    for name in ("old", "new"):
        (tmp_path / name).write_text("a")
    link.symlink_to("old")
    before = stamp(str(link))
    link.unlink()
    link.symlink_to("new")
    assert before != stamp(str(link))


def test_a_missing_file(tmp_path: Path) -> None:
    """`stamp` raises, and `stamp_if_there` returns None."""
    path = str(tmp_path / "none")
    assert stamp_if_there(path) is None
    with pytest.raises(FileNotFoundError):
        stamp(path)
