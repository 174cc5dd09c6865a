"""How it is told that a file is another one than it was."""

from pathlib import Path

import pytest

from gateway.util.file_stamp import stamp, stamp_if_there


def test_a_file_that_is_left_alone_keeps_its_stamp(tmp_path: Path) -> None:
    """Looking changes nothing."""
    path = tmp_path / "file"
    path.write_text("a")
    assert stamp(str(path)) == stamp(str(path)) == stamp_if_there(str(path))


def test_a_link_that_leads_elsewhere_has_another_stamp(tmp_path: Path) -> None:
    """As secrets are replaced: the link changes, and no file does."""
    link = tmp_path / "link"
    for name in ("old", "new"):
        (tmp_path / name).write_text("a")
    link.symlink_to("old")
    before = stamp(str(link))
    link.unlink()
    link.symlink_to("new")
    assert before != stamp(str(link))


def test_where_there_is_no_file(tmp_path: Path) -> None:
    """Who needs the file is told so; who only compares gets nothing."""
    path = str(tmp_path / "none")
    assert stamp_if_there(path) is None
    with pytest.raises(FileNotFoundError):
        stamp(path)
