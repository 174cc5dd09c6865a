"""Lines of audit files."""

import hmac
import json

import pytest

from gateway.audit.chain import (
    FIRST_PREV,
    MAX_LIST,
    MAX_TEXT,
    ChainLink,
    Head,
    fingerprint,
    is_genuine,
    machine_in_writer,
    read_head,
    read_line,
    seal,
)
from gateway.core.audit import AuditEntry, AuditEvent
from tests.fakes.audit import FILE, KEY, TIME_MS

ENTRY = AuditEntry(
    AuditEvent.ROLE_GRANTED, "ada@desk", "did:ethr:0x1", "192.0.2.1", details={"roles": ["a"]}
)


def test_a_line_is_json_with_these_members() -> None:
    """Their names and their order are a contract; the last is the MAC of all before it."""
    line, link = seal(KEY, ChainLink("edge:cli:1"), ENTRY, TIME_MS)
    members = json.loads(line)
    mac = members.pop("mac")
    assert {
        "writer": "edge:cli:1",
        "seq": 1,
        "time": "2023-11-14T22:13:20.000Z",
        "event": "role.granted",
        "actor": "ada@desk",
        "from": "192.0.2.1",
        "subject": "did:ethr:0x1",
        "result": "ok",
        "reason": "",
        "request_id": "",
        "details": {"roles": ["a"]},
        "prev": FIRST_PREV,
    } == members
    assert (ChainLink("edge:cli:1", 1, mac), True) == (
        link,
        line.endswith(b'"mac":"%b"}\n' % mac.encode()),
    )
    body = line[: line.index(b',"mac":')]
    assert mac == hmac.new(KEY, b"gateway audit 1\n" + body, "sha256").hexdigest()


def test_a_line_names_the_one_before_it() -> None:
    """It is read again as it was sealed, and no other key takes it for its own."""
    first = seal(KEY, ChainLink("w"), ENTRY, TIME_MS)
    second = seal(KEY, first.link, ENTRY, TIME_MS)
    line = read_line(second.line.rstrip())
    assert line is not None
    assert ("w", 2, first.link.mac, TIME_MS) == (line.writer, line.seq, line.prev, line.time_ms)
    assert (True, False) == (is_genuine(line, KEY), is_genuine(line, b"x" * 32))


def test_what_clients_choose_stays_on_its_line() -> None:
    """Control characters are escaped, and long text and lists are cut."""
    entry = ENTRY._replace(
        actor='x\n","seq":9,"\x1b\udc80', subject="y" * 9999, details={"n": ["a"] * 110, "m": None}
    )
    line, _ = seal(KEY, ChainLink("w"), entry, TIME_MS)
    assert 1 == line.count(b"\n")
    assert b"\x1b" not in line
    members = json.loads(line)
    assert ('x\n","seq":9,"\x1b?', MAX_TEXT) == (members["actor"], len(members["subject"]))
    assert (["a"] * 100 + ["and 10 more"], None) == (
        members["details"]["n"],
        members["details"]["m"],
    )


def test_a_list_of_just_so_many_is_whole() -> None:
    """Nothing is said to be left out."""
    entry = ENTRY._replace(details={"n": ["a"] * MAX_LIST})
    line, _ = seal(KEY, ChainLink("w"), entry, TIME_MS)
    assert ["a"] * MAX_LIST == json.loads(line)["details"]["n"]


@pytest.mark.parametrize(
    ("host", "name"),
    [("edge-1.example.com", "edge-1.example.com"), ("a:b c", "a-b-c"), ("", "")],
)
def test_the_name_of_a_machine_in_that_of_a_writer(host: str, name: str) -> None:
    """A colon ends it, so it has none."""
    assert name == machine_in_writer(host)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b'{"writer":"w","mac":"' + b"0" * 64 + b'"}',
        b'{"writer":1,"seq":1,"time":"","event":"","prev":"","details":{},"mac":"'
        + b"0" * 64
        + b'"}',
        b'{"writer":"w","seq":true,"time":"2023-11-14T22:13:20.000Z","event":"","prev":"",'
        b'"details":{},"mac":"' + b"0" * 64 + b'"}',
    ],
)
def test_what_is_no_line(raw: bytes) -> None:
    """It is read as none, whatever it is."""
    assert read_line(raw) is None


def test_details_of_another_shape_are_none() -> None:
    """Only a gateway's own line has them, and its MAC says whether it is one."""
    raw = seal(KEY, ChainLink("w"), ENTRY, TIME_MS).line.rstrip().replace(b'{"roles":["a"]}', b"7")
    line = read_line(raw)
    assert line is not None
    assert ({}, False) == (line.details, is_genuine(line, KEY))


def test_a_head_survives_the_store() -> None:
    """What cannot be read is no head."""
    head = Head(3, "ab", TIME_MS, FILE)
    assert head == read_head(head.encode())
    for record in (b"", b"7", b'{"seq":0,"mac":"","time_ms":1,"file":""}', b'{"seq":1}'):
        assert read_head(record) is None


def test_a_half_line_is_named_by_length_and_hash() -> None:
    """Two different ones have different names."""
    assert fingerprint(b"ab").startswith("2 ")
    assert fingerprint(b"ab") != fingerprint(b"ac")
