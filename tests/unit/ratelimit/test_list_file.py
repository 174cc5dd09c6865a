"""Files of deny and allow lists."""

import logging
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.core.errors import StartError
from gateway.ratelimit import list_file
from gateway.ratelimit.list_file import ListFile, parse, read_file, watch
from gateway.ratelimit.matcher import Matcher

GOOD = """\
# bots
192.0.2.1

192.0.2.0/28   # an office
  ada@example.com
https://idp.example#7
https://idp.example#8 # of a JWT
"""


def test_a_line_is_an_entry_and_comments_are_none() -> None:
    """An issuer of a JWT has a number sign within, which begins no comment."""
    texts = [entry.text for entry in parse(GOOD, "f")]
    assert [
        "192.0.2.1",
        "192.0.2.0/28",
        "ada@example.com",
        "https://idp.example#7",
        "https://idp.example#8",
    ] == texts


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"192.0.2.1\nnonsense\n", ["f:2: expected an address"], id="a-line"),
        pytest.param(
            b"a\nb\nc\nd\ne\n", ["f:1: ", "f:2: ", "f:3: ", "and 2 more lines"], id="many-lines"
        ),
        pytest.param(b"192.0.2.1\n\xff\n", ["f:2: not UTF-8"], id="not-text"),
        pytest.param(b"#" * 101, ["f: longer than 0 MiB"], id="too-long"),
        pytest.param(None, ["f: no such file"], id="missing"),
    ],
)
def test_what_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, expected: list[str]
) -> None:
    """The message names the file, and the line where there is one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(list_file, "MAX_BYTES", 100)
    if content is not None:
        Path("f").write_bytes(content)
    with pytest.raises(StartError) as error:
        read_file("f")
    lines = str(error.value).split("\n")
    assert len(expected) == len(lines)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


async def test_a_file_is_read_again_when_it_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that cannot be used leaves the entries as they are, and is told of once."""
    used: list[Matcher] = []
    path = tmp_path / "list"
    path.write_text("192.0.2.1")
    file = ListFile(str(path), used.append)
    file.load()
    await file.reload_if_changed()
    assert 1 == len(used)
    with caplog.at_level(logging.INFO):
        for content in ("nonsense", "nonsense", None, "192.0.2.2, 3", "192.0.2.27"):
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_text(content)
            await file.reload_if_changed()
    assert [True, False] == [each.has_address(ip_address("192.0.2.1")) for each in used]
    assert used[-1].has_address(ip_address("192.0.2.27"))
    told = [record.levelname for record in caplog.records]
    assert ["ERROR", "ERROR", "ERROR", "INFO"] == told
    assert f"{path}:1: expected an address" in caplog.messages[0]


async def test_a_failure_to_look_ends_no_watch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next file is looked at."""
    looked: list[str] = []

    class Failing(ListFile):
        async def reload_if_changed(self) -> None:
            looked.append(self._path)
            if len(looked) == 3:
                raise KeyboardInterrupt
            raise ValueError

    monkeypatch.setattr(list_file, "CHECK_EVERY_S", 0)
    with pytest.raises(KeyboardInterrupt):
        await watch([Failing(name, lambda _: None) for name in "ab"])
    assert ["a", "b", "a"] == looked
    assert ["checking a list failed"] * 2 == caplog.messages
