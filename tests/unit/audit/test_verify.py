"""What is found in audit files that were tampered with."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.audit import verify
from gateway.audit.chain import ChainLink, Head, fingerprint, seal
from gateway.audit.verify import HEAD_KEPT_MS, HEAD_LAG_MS, AuditFinding, Verifier
from gateway.core.audit import AuditEntry, AuditEvent
from tests.fakes.audit import FILE, KEY, TIME_MS, lines_of

NOW_MS = TIME_MS + 2 * HEAD_LAG_MS

ORDERS = some.lists(some.sampled_from(["e:a:1", "e:b:2", "e:c:3"]), min_size=1, max_size=12)


def findings(
    lines: Sequence[bytes],
    heads: dict[str, Head] | None,
    keys: Sequence[bytes] = (KEY,),
    now_ms: int = NOW_MS,
    **how: Any,
) -> list[AuditFinding]:
    """What is found in a file of ``lines``."""
    verifier = Verifier(keys, heads, now_ms, **{"host": "e", **how})
    verifier.feed(FILE, b"".join(lines).splitlines(keepends=True) if lines else [])
    return verifier.finish()


def codes(found: Sequence[AuditFinding]) -> list[tuple[str, int]]:
    return [(each.code.value, each.line) for each in found]


def faults(found: Sequence[AuditFinding]) -> list[tuple[str, int]]:
    return codes([each for each in found if each.is_fault])


def split(text: bytes) -> list[bytes]:
    """Lines by line feeds alone, as files are read."""
    parts = text.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + [part for part in parts[-1:] if part]


def in_bytes(text: bytes, heads: dict[str, Head] | None) -> list[AuditFinding]:
    verifier = Verifier((KEY,), heads, NOW_MS, host="e")
    verifier.feed(FILE, split(text))
    return verifier.finish()


@given(ORDERS)
def test_what_gateways_wrote_verifies(order: list[str]) -> None:
    """However lines of several writers alternate; also while the heads lag behind."""
    lines, heads = lines_of(order)
    assert [] == findings(lines, heads)
    assert [] == findings(lines, None)
    _, behind = lines_of(order[:-1])
    assert [] == findings(lines, behind | {order[-1]: heads[order[-1]]})
    assert [] == findings(lines, behind, now_ms=TIME_MS)


@given(ORDERS, some.data())
def test_a_changed_byte_is_found(order: list[str], data: some.DataObject) -> None:
    """In its line, or with its line feed at its line; heads are not needed for that."""
    lines, heads = lines_of(order)
    text = b"".join(lines)
    place = data.draw(some.integers(0, len(text) - 1))
    byte = data.draw(some.integers(0, 255).filter(lambda each: each != text[place]))
    changed = text[:place] + bytes([byte]) + text[place + 1 :]
    number = text[:place].count(b"\n") + 1
    for known in (heads, None):
        found = in_bytes(changed, known)
        assert (number, True) == (found[0].line, any(each.is_fault for each in found))


@given(ORDERS, some.data())
def test_a_removed_line_is_found(order: list[str], data: some.DataObject) -> None:
    """At the next line of its writer; at the one before it, where it was the last; or gone."""
    lines, heads = lines_of(order)
    place = data.draw(some.integers(0, len(lines) - 1))
    after = [at for at in range(place + 1, len(order)) if order[at] == order[place]]
    before = [at for at in range(place) if order[at] == order[place]]
    expected = after[0] if after else before[-1] + 1 if before else 0
    found = findings(lines[:place] + lines[place + 1 :], heads)
    assert [expected] == [line for _, line in faults(found)]


@given(ORDERS, some.data())
def test_swapped_lines_are_found(order: list[str], data: some.DataObject) -> None:
    """Where the first of them stands now: two of one writer. Times order different writers."""
    order += [order[0]]
    lines, heads = lines_of(order)
    doubled = [n for n in range(len(order)) if order[n] in order[n + 1 :]]
    first = data.draw(some.sampled_from(doubled))
    later = [n for n in range(first + 1, len(order)) if order[n] == order[first]]
    second = data.draw(some.sampled_from(later))
    lines[first], lines[second] = lines[second], lines[first]
    for known in (heads, None):
        assert first + 1 == min(line for _, line in faults(findings(lines, known)))


@given(ORDERS, some.data())
def test_a_cut_end_is_found(order: list[str], data: some.DataObject) -> None:
    """Each writer that lost lines is named, at the latest line that it has left."""
    lines, heads = lines_of(order)
    text = b"".join(lines)
    cut = data.draw(some.integers(0, len(text) - 1))
    kept = text[:cut].count(b"\n")
    whole = order[: kept + 1] if cut < len(text) and text[cut : cut + 1] == b"\n" else order[:kept]
    latest = {writer: place + 1 for place, writer in enumerate(whole)}
    found = {each.writer: each.line for each in in_bytes(text[:cut], heads) if each.is_fault}
    lost = set(order[kept:])
    assert {writer: latest.get(writer, 0) for writer in lost} == found


@given(ORDERS, some.data())
def test_a_repeated_line_is_found(order: list[str], data: some.DataObject) -> None:
    """Wherever it is put in."""
    lines, heads = lines_of(order)
    place = data.draw(some.integers(0, len(lines) - 1))
    at = data.draw(some.integers(place + 1, len(lines)))
    found = findings([*lines[:at], lines[place], *lines[at:]], heads)
    assert [("repeated", at + 1)] == faults(found)


@given(ORDERS, some.data())
def test_a_cut_beginning_is_found(order: list[str], data: some.DataObject) -> None:
    """At the first line that each writer has left, or at the file where it has none."""
    lines, heads = lines_of(order)
    cut = data.draw(some.integers(1, len(lines)))
    found = findings(lines[cut:], heads)
    left, lost = order[cut:], set(order[:cut])
    expected = {writer: left.index(writer) + 1 for writer in lost if writer in left}
    assert expected == {each.writer: each.line for each in found if each.code == "cut-start"}


def test_one_changed_line_is_one_finding() -> None:
    """The line behind it follows what was claimed."""
    lines, heads = lines_of(["e:a:1"] * 3)
    lines[1] = lines[1].replace(b"192.0.2.1", b"192.0.2.9")
    assert [("changed", 2)] == codes(findings(lines, heads))


def test_another_key_may_be_an_older_one() -> None:
    """Its lines verify where it is given, too."""
    lines, heads = lines_of(["e:a:1"] * 2, b"o" * 32)
    assert [("changed", 1), ("changed", 2), ("gone", 0)] == codes(findings(lines, heads))
    assert [] == findings(lines, heads, (KEY, b"o" * 32))


def test_a_line_that_was_sealed_anew_is_found_by_the_head() -> None:
    """An attacker with the key cannot change what the store knows."""
    lines, _ = lines_of(["e:a:1"] * 2)
    _, heads = lines_of(["e:b:1", "e:a:1", "e:a:1"])
    assert [("replaced", 2)] == codes(findings(lines, {"e:a:1": heads["e:a:1"]}))


def test_a_line_of_another_beginning_does_not_fit() -> None:
    """Two chains under one name are told apart by what each line follows."""
    first, _ = lines_of(["e:a:1", "e:a:1"])
    other, _ = lines_of(["e:b:1", "e:a:1", "e:a:1"])
    assert [("replaced", 2)] == codes(findings([first[0], other[2]], None))
    stray = seal(KEY, ChainLink("e:a:1", 0, "f" * 64), AuditEntry(AuditEvent.LOGIN, "x"), TIME_MS)
    assert [("replaced", 1)] == codes(findings([stray.line], None))


def _then(link: ChainLink, event: AuditEvent, **details: Any) -> tuple[bytes, ChainLink]:
    return seal(KEY, link, AuditEntry(event, "gateway", details=details), TIME_MS)


def test_a_chain_that_ended_has_no_more_lines() -> None:
    """Without a head it is complete all the same; a line behind its end is found."""
    ended, link = _then(ChainLink("e:a:1"), AuditEvent.ENDED)
    assert [] == findings([ended], {})
    more, _ = _then(link, AuditEvent.LOGIN)
    assert [("after-end", 2)] == faults(findings([ended, more], None))


def test_a_chain_without_a_head_may_be_cut() -> None:
    """Unless it has just begun, or is so old that its head has expired."""
    lines, _ = lines_of(["e:a:1"])
    assert [("no-head", 1)] == codes(findings(lines, {}))
    assert [] == findings(lines, {}, now_ms=TIME_MS + 1)
    assert [] == findings(lines, {}, now_ms=TIME_MS + HEAD_KEPT_MS + 1)


def test_a_rotated_file_is_a_part() -> None:
    """Of both files nothing is missing; of one alone, a note says so, and --complete a fault."""
    lines, _ = lines_of(["e:a:1"])
    link = ChainLink("e:a:1", 1, _mac(lines[0]))
    left, link = _then(link, AuditEvent.FILE_LEFT)
    opened, link = _then(link, AuditEvent.FILE_OPENED)
    last, link = _then(link, AuditEvent.LOGIN)
    heads = {"e:a:1": Head(link.seq, link.mac, TIME_MS, FILE)}
    assert [] == findings([*lines, left, opened, last], heads, is_complete=True)
    assert [("newer-files", 2)] == codes(findings([*lines, left], heads))
    assert [("cut", 2)] == codes(findings([*lines, left], heads, is_complete=True))
    assert [("older-files", 1)] == codes(findings([opened, last], heads))
    assert [("cut-start", 1)] == codes(findings([opened, last], heads, is_complete=True))
    assert [("cut", 2), ("older-files", 1)] == sorted(
        codes(findings([opened, last], {"e:a:1": Head(9, "0" * 64, TIME_MS, FILE)}))
    )


def _mac(line: bytes) -> str:
    return line[-67:-3].decode()


@pytest.mark.parametrize("heads", [None, {}])
def test_half_a_line_that_was_named_is_a_note(heads: dict[str, Head] | None) -> None:
    """The name has the key's seal, so an attacker cannot give it; another half stays a fault."""
    lines, _ = lines_of(["e:a:1", "e:a:1"])
    half = lines[1][:40]
    named, _ = _then(ChainLink("e:b:2"), AuditEvent.HALF_LINE, halves=[fingerprint(half)])
    other, _ = _then(ChainLink("e:b:2"), AuditEvent.HALF_LINE, halves=[fingerprint(half[:-1]), 7])
    found = findings([lines[0], half, b"\n", named], heads, now_ms=TIME_MS)
    assert [("half-line", 2)] == codes(found)
    found = findings([lines[0], half, b"\n", other], heads, now_ms=TIME_MS)
    assert [("unreadable", 2)] == codes(found)
    unlisted, _ = _then(ChainLink("e:b:2"), AuditEvent.HALF_LINE, halves="x")
    assert [("unreadable", 1)] == codes(findings([b"x\n", unlisted], heads, now_ms=TIME_MS))


def test_half_a_line_is_named_within_its_own_file() -> None:
    """A writer reads the end of the file that it appends to, and of no other."""
    half = b"x"
    named, _ = _then(ChainLink("e:b:2"), AuditEvent.HALF_LINE, halves=[fingerprint(half)])
    for files, expected in (
        ([[half + b"\n", named]], [("half-line", 1)]),
        ([[half + b"\n"], [named]], [("unreadable", 1)]),
    ):
        verifier = Verifier((KEY,), {}, TIME_MS, host="e")
        for number, lines in enumerate(files):
            verifier.feed(f"{FILE}.{number}", lines)
        assert expected == codes(verifier.finish())


def test_half_a_line_at_the_end_is_judged_by_the_head() -> None:
    """A crash comes before the head is kept; a line whose head is kept was complete."""
    lines, heads = lines_of(["e:a:1", "e:a:1"])
    _, before = lines_of(["e:a:1"])
    assert [("half-line", 2)] == codes(findings([lines[0], lines[1][:40]], before))
    assert [("half-line", 2), ("cut", 1)] == codes(findings([lines[0], lines[1][:40]], heads))
    assert [("half-line-unknown", 2)] == codes(findings([lines[0], lines[1][:40]], None))
    no_feed = [lines[0], lines[1][:-1]]
    assert [("half-line", 2)] == codes(findings(no_feed, before))
    assert [("cut", 2)] == codes(findings(no_feed, heads))
    assert [("half-line-unknown", 2)] == codes(findings(no_feed, None))


def test_findings_of_a_file_of_another_kind_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound, whatever the file is; what is missing at the ends is still told."""
    monkeypatch.setattr(verify, "MAX_FINDINGS", 3)
    lines, heads = lines_of(["e:a:1", "e:a:1"])
    verifier = Verifier((KEY,), heads, NOW_MS)
    verifier.feed(FILE, [*[b"x %d\n" % number for number in range(9)], lines[0]])
    assert [*[("unreadable", place) for place in (1, 2, 3)], ("cut", 10)] == codes(
        verifier.finish()
    )
    assert 6 == verifier.more


def test_a_writer_that_is_gone_is_found_on_a_machine_of_any_name() -> None:
    """Writers have its name without what stands in no word, such as underscores."""
    _, heads = lines_of(["edge-1.lan:gateway:1"])
    assert [("gone", 0)] == codes(findings([], heads, host="edge_1.lan"))


def test_a_writer_that_is_gone_is_found_where_it_belongs() -> None:
    """Of this file and of known machines, and not before the file begins; or with --complete."""
    lines, heads = lines_of(["e:b:2", "e:a:1", "e:b:2"])
    gone = heads["e:a:1"]
    left = [lines[0], lines[2]]
    for head, host, is_complete, expected in (
        (gone, "e", False, [("gone", 0)]),
        (gone._replace(time_ms=TIME_MS - 1), "e", False, [("gone", 0)]),
        (gone._replace(file="/x"), "e", False, []),
        (gone._replace(file="/x"), "e", True, [("gone", 0)]),
        (gone, "other", False, []),
    ):
        writer = f"{host}:a:1"
        known = {"e:b:2": heads["e:b:2"], writer: head}
        assert expected == codes(findings(left, known, is_complete=is_complete)), (head, host)
    assert [("gone", 0)] == codes(findings([], {"e:a:1": gone}))


def test_writers_that_ended_before_a_rotation_are_not_missed() -> None:
    """A line says that an older file came before; later writers are missed."""
    opened, link = _then(ChainLink("e:a:1", 1, "0" * 64), AuditEvent.FILE_OPENED)
    own = {"e:a:1": Head(link.seq, link.mac, TIME_MS, FILE)}
    for time_ms, is_complete, expected in (
        (TIME_MS - 1, False, []),
        (TIME_MS, False, [("gone", 0)]),
        (TIME_MS - 1, True, [("cut-start", 1), ("gone", 0)]),
    ):
        known = own | {"e:b:2": Head(1, "1" * 64, time_ms, FILE)}
        assert expected == faults(findings([opened], known, is_complete=is_complete))
