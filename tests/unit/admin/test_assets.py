"""The files of the dashboard."""

import gzip
import hashlib
import json
import re
from pathlib import Path

from gateway.admin.assets import assets

STATIC = Path(__file__).parents[3] / "gateway/admin/static"


def test_vendored_files_are_those_of_the_record() -> None:
    """Unchanged, with their licence beside them."""
    record = json.loads((STATIC / "vendor/uplot.json").read_text())
    for name, about in record["files"].items():
        assert (
            about["sha256"] == hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest()
        )
    assert "MIT" in record["license"]
    assert "Permission is hereby granted" in (STATIC / "vendor/uplot.LICENSE").read_text()


def test_a_page_names_files_that_there_are() -> None:
    """By their version: a browser keeps them for good. They are relative, for any path before."""
    found = assets()
    for page in ("dashboard.html", "denied.html", "sign-in.html"):
        named = re.findall(r'"assets/([0-9a-f]+)/([^"]+)"', found.page(page).body.decode())
        assert named
        assert not re.findall(r'(?:href|src|action)="/', found.page(page).body.decode())
        assert {found.version} == {version for version, _ in named}
        assert {name for _, name in named} <= found.files.keys()


def test_modules_import_modules_that_there_are() -> None:
    """A misspelt one would stop the page."""
    names = assets().files.keys()
    for name in names:
        if name.endswith(".js") and not name.startswith("vendor/"):
            imported = re.findall(r'from "\./([^"]+)"', assets().files[name].body.decode())
            assert set(imported) <= names, name


def test_what_modules_ask_for_is_relative() -> None:
    """The page may be served below another path."""
    for name, found in assets().files.items():
        if name.endswith(".js") and not name.startswith("vendor/"):
            assert not re.findall(rb"[\"`]/(?:api|assets)", found.body), name


def test_nothing_is_written_as_markup() -> None:
    """What clients have sent is put into the page as text alone."""
    for name, found in assets().files.items():
        if name.endswith(".js"):
            assert b"innerHTML" not in found.body, name
            assert b"insertAdjacentHTML" not in found.body, name


def test_the_page_is_small() -> None:
    """All that a browser loads."""
    assert 60 << 10 > sum(len(found.gzipped or found.body) for found in assets().files.values())


def test_the_alert_is_shown_when_it_is_told() -> None:
    """The form says that the token was wrong, and says nothing before one was sent."""
    assert b'role="alert" hidden' in assets().page("sign-in.html").body
    assert b'role="alert">' in assets().page("sign-in.html", shows_alert=True).body


def test_a_page_below_a_path_names_it_as_its_base() -> None:
    """So that relative links lead there, with a slash at the end of its address or without."""
    page, below = assets().page("dashboard.html"), assets().page_below("dashboard.html", "/a&b")
    assert b'<head>\n<base href="/a&amp;b/">\n' in below.body
    assert below.body == gzip.decompress(below.gzipped)
    assert page.body == below.body.replace(b'\n<base href="/a&amp;b/">', b"")


def test_a_page_says_why_nothing_is_shown() -> None:
    """As a sentence, and as text."""
    page = assets().denied("without <a token>")
    assert b">Without &lt;a token&gt;.<" in page.body
    assert b"{" not in page.body
