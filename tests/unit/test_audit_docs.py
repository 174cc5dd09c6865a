"""
docs/audit.md agrees with the code: its tables, and the outputs of the check.

`python -m tools.write_tables` writes the tables.
"""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.audit.chain import Head
from gateway.audit.verify import AuditFinding, AuditFindingCode
from gateway.cli import audit as command
from gateway.cli.audit import _MAX_LINE_BYTES
from gateway.cli.main import main
from gateway.core.audit import AuditEvent
from tests.fakes.audit import FILE, lines_of

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"

GATEWAY, CLI = "edge-1:gateway:5c0f17a2", "edge-1:cli:81d2b0e4"
ORDER = [GATEWAY, GATEWAY, CLI, CLI, GATEWAY, GATEWAY]

CONFIG = """
server: {public_url: https://app.example.com}
redis: {url: "redis://127.0.0.1:1"}
magic: {secret_key: sk_test_1}
session: {keys: ["a sealing key for tests, long enough"]}
audit: {file: FILE, key: a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=}
"""


def events_table() -> str:
    """The table of all kinds of lines."""
    lines = ["| event | what it tells |", "|---|---|"]
    lines += [f"| `{event}` | {event.meaning} |" for event in AuditEvent]
    return "\n".join(lines) + "\n"


def findings_table() -> str:
    """The table of all findings."""
    lines = ["| code | fault | what it means |", "|---|---|---|"]
    for code in AuditFindingCode:
        is_fault = AuditFinding(code, "", 0, "", "").is_fault
        lines.append(f"| `{code}` | {'yes' if is_fault else 'a note'} | {code.meaning} |")
    return "\n".join(lines) + "\n"


def test_the_page_has_the_tables() -> None:
    """Of events, and of findings."""
    page = PAGE.read_text()
    assert events_table() in page
    assert findings_table() in page


def shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, lines: list[bytes], *words: str
) -> tuple[int, str]:
    """Exit status and output of the check of ``lines``, with the heads that they left."""
    file, config = folder / "audit.jsonl", folder / "gateway.yaml"
    file.write_bytes(b"".join(lines))
    config.write_text(CONFIG.replace("FILE", str(file)))
    _, heads = lines_of(ORDER)

    async def known(_: object) -> tuple[dict[str, Head], str]:
        return {writer: head._replace(file=str(file)) for writer, head in heads.items()}, ""

    monkeypatch.setattr(command, "_heads", known)  # a store, which the journey has
    ran = CliRunner().invoke(main, ["audit", "verify", *words, "--config", str(config)])
    return ran.exit_code, ran.output.replace(str(file), FILE)


def test_the_page_shows_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For files as they were written, and for files that were tampered with."""
    page = PAGE.read_text()
    lines, _ = lines_of(ORDER)
    good = shown(tmp_path, monkeypatch, lines)
    assert (0, True) == (good[0], f"$ gateway audit verify\n{good[1]}```" in page)
    changed = lines[1].replace(b"192.0.2.1", b"192.0.2.9")
    bad = shown(tmp_path, monkeypatch, [lines[0], changed, *lines[2:5]])
    assert (1, True) == (bad[0], f"$ gateway audit verify\n{bad[1]}```" in page), bad[1]


def test_the_page_shows_the_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file without its second line."""
    lines, _ = lines_of(ORDER)
    status, output = shown(tmp_path, monkeypatch, [lines[0], *lines[2:]], "--json")
    [example] = re.findall(r"```json\n(\{\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert (1, json.loads(example)) == (status, json.loads(output.rpartition("\ngateway: ")[0]))


def test_what_keeps_the_check_from_running(tmp_path: Path) -> None:
    """No section, no file, or no store: each has its exit status."""
    config, file = tmp_path / "gateway.yaml", tmp_path / "audit.jsonl"
    words = ["audit", "verify", "--config", str(config)]
    config.write_text(CONFIG.partition("audit:")[0])
    assert 2 == CliRunner().invoke(main, words).exit_code
    config.write_text(CONFIG.replace("FILE", str(file)))
    assert 2 == CliRunner().invoke(main, [*words, "--no-store"]).exit_code
    lines, _ = lines_of(ORDER)
    file.write_bytes(b"".join(lines))
    ran = CliRunner().invoke(main, words)
    assert (3, True) == (ran.exit_code, "ends may have been cut off" in ran.stdout)
    ran = CliRunner().invoke(main, [*words, "--no-store", "--json"])
    assert (0, True) == (ran.exit_code, json.loads(ran.stdout)["ok"])


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    """As by a pattern of the shell and by its name; a copy of it repeats its lines."""
    config, file = tmp_path / "gateway.yaml", tmp_path / "audit.jsonl"
    other, copy = tmp_path / "link.jsonl", tmp_path / "copy.jsonl"
    config.write_text(CONFIG.replace("FILE", str(file)))
    lines, _ = lines_of(ORDER)
    file.write_bytes(b"".join(lines))
    copy.write_bytes(file.read_bytes())
    other.symlink_to(file)
    words = ["audit", "verify", "--no-store", "--config", str(config)]
    twice = CliRunner().invoke(main, [*words, str(file), str(other), str(file)])
    assert (0, True) == (twice.exit_code, f"{len(ORDER)} lines" in twice.stdout), twice.output
    copied = CliRunner().invoke(main, [*words, str(file), str(copy)])
    assert (1, True) == (copied.exit_code, "repeated" in copied.stdout)


def test_a_line_of_any_length_is_one_line(tmp_path: Path) -> None:
    """It is no line of a gateway; those behind it keep their numbers."""
    config, file = tmp_path / "gateway.yaml", tmp_path / "audit.jsonl"
    config.write_text(CONFIG.replace("FILE", str(file)))
    lines, _ = lines_of(ORDER)
    words = ["audit", "verify", "--no-store", "--json", "--config", str(config)]
    for length in (_MAX_LINE_BYTES - 1, _MAX_LINE_BYTES, 3 * _MAX_LINE_BYTES):
        changed = lines[1].replace(b"192.0.2.1", b"192.0.2.9")
        file.write_bytes(b"x" * length + b"\n" + lines[0] + changed + b"".join(lines[2:]))
        told = json.loads(CliRunner().invoke(main, words).stdout)
        assert [("unreadable", 1), ("changed", 3)] == [
            (each["code"], each["line"]) for each in told["findings"]
        ]
        assert len(ORDER) + 1 == told["files"][0]["lines"]
