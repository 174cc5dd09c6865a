"""The files of the pages."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import gateway.pages
from gateway.pages.assets import Assets, asset, packaged

STATIC = Path(gateway.pages.__file__).parent / "static"
MODULES = sorted(STATIC.glob("*.js"))
MADE = {"config.js": b"export const settings = {};", "theme.css": b""}


def test_the_sdk_is_the_one_on_record() -> None:
    """Magic's SDK is unchanged, byte for byte; `make sdk` fetches another version."""
    record = json.loads((STATIC / "vendor/magic-sdk.json").read_text())
    body = (STATIC / "vendor/magic-sdk.js").read_bytes()
    assert record["sha256"] == hashlib.sha256(body).hexdigest()
    assert record["version"].encode() in body


def test_the_name_follows_from_the_contents() -> None:
    """A file that changes is another file to every cache."""
    assert Assets(MADE).version == Assets(MADE).version
    assert Assets(MADE).version != Assets({**MADE, "theme.css": b"a {}"}).version


def test_what_is_sent_and_what_is_not() -> None:
    """Scripts, styles and pictures are; the record and the licence of the SDK stay at home."""
    assert {"css", "js", "svg"} == {name.rpartition(".")[2] for name in packaged()}


def test_all_of_our_own_is_small() -> None:
    """The first page is there at once on any line; the SDK is the largest part of it."""
    own = [body for name, body in packaged().items() if not name.startswith("vendor/")]
    assert sum(len(asset("a.js", body).gzipped or body) for body in own) < 20 << 10
    assert len(asset("a.js", packaged()["vendor/magic-sdk.js"]).gzipped) < 40 << 10


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_import_what_is_there(path: Path) -> None:
    """By relative names: all of them are of one version."""
    imported = re.findall(r'from "\./([^"]+)"', path.read_text())
    assert [] == [name for name in imported if name not in {*packaged(), *MADE}]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is needed")
@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_are_javascript(path: Path) -> None:
    """Node reads them."""
    command = ["node", "--input-type=module", "--check"]
    subprocess.run(command, input=path.read_bytes(), check=True, timeout=20)
