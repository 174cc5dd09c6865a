"""Lines of the access log."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.record import RequestRecord
from gateway.core.request import RequestHead
from gateway.telemetry.access_line import (
    ACCESS_FIELDS,
    MAX_METHOD,
    MAX_PATH,
    MAX_USER_AGENT,
    LineValues,
    Values,
    json_lines,
    python_json_lines,
    text_lines,
)
from gateway.telemetry.escape import visible
from tests.fakes.heads import request_head

AT_S = 1_700_000_000.1234
AGENT = "User-Agent"
WHOLE = RequestRecord(
    client="192.0.2.1",
    host="app.example.com",
    route="rest",
    path="/x",
    issuer="did:ethr:0x1",
    auth_method="session",
    scheme="https",
    upstream_server="http://app:3000",
    upstream_s=0.0009876,
    bytes_in=7,
)


def named(values: Values) -> dict[str, Any]:
    """The members that a line has."""
    members = zip(ACCESS_FIELDS, values, strict=True)
    return {name: value for name, value in members if value is not None}


def values(made: dict[str, Any]) -> Values:
    return tuple(map(made.get, ACCESS_FIELDS))


def members(head: RequestHead | None = None, sample: float = 1.0, **known: Any) -> dict[str, Any]:
    return named(LineValues().of(AT_S, head, RequestRecord(**known), 200, 42, 0.0012345, sample))


def whole(**changes: Any) -> dict[str, Any]:
    """The members of a usual request."""
    head = request_head((AGENT, "curl/8"), target="/x?token=1")
    return {**named(LineValues().of(AT_S, head, WHOLE, 200, 42, 0.0012345, 1.0)), **changes}


def json(made: dict[str, Any]) -> dict[str, Any]:
    line = json_lines()(values(made))
    assert line == python_json_lines()(values(made))
    assert (1, b"\n") == (line.count(b"\n"), line[-1:])
    read: dict[str, Any] = orjson.loads(line)
    return read


def test_a_line_holds_the_outcome_of_a_request() -> None:
    """Fields that are there for some requests alone are left out."""
    expected = {
        "time": "2023-11-14T22:13:20.123Z",
        "id": request_head().request_id,
        "client": "192.0.2.1",
        "method": "GET",
        "scheme": "https",
        "host": "app.example.com",
        "path": "/x",
        "version": "1.1",
        "route": "rest",
        "status": 200,
        "bytes_in": 7,
        "bytes": 42,
        "ms": 1.234,
        "issuer": "did:ethr:0x1",
        "auth": "session",
        "refusal": "",
        "reason": "",
        "upstream": "http://app:3000",
        "upstream_ms": 0.987,
        "user_agent": "curl/8",
    }
    assert list(expected.items()) == list(json(whole()).items())
    assert tuple(expected) == ACCESS_FIELDS[: len(expected)]


def test_some_requests_have_more_fields() -> None:
    """A check, a tunnel, and a request of which a part alone is logged."""
    more = members(request_head(), 0.25, checked="POST", tunnel="idle")
    assert ("POST", "idle", 0.25) == tuple(more[name] for name in ACCESS_FIELDS[-3:])
    assert set(ACCESS_FIELDS) == set(more)


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [
        pytest.param(0.0, "1970-01-01T00:00:00.000Z", id="first"),
        pytest.param(1_700_000_000.9999, "2023-11-14T22:13:20.999Z", id="end-of-a-second"),
        pytest.param(1_700_000_001.0, "2023-11-14T22:13:21.000Z", id="next-second"),
        pytest.param(1_700_000_000.5, "2023-11-14T22:13:20.500Z", id="clock-set-back"),
        pytest.param(4_102_444_799.9995, "2099-12-31T23:59:59.999Z", id="far"),
    ],
)
def test_times_are_of_rfc_3339(at_s: float, expected: str) -> None:
    """Cut to the millisecond, in UTC."""
    lines = LineValues()
    lines.of(1_700_000_000.1, None, RequestRecord(), 200, 0, 0.0, 1.0)
    assert expected == lines.of(at_s, None, RequestRecord(), 200, 0, 0.0, 1.0)[0]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param("/a/../b?token=1", "/a/../b", id="query"),
        pytest.param("/a#token=1", "/a", id="fragment"),
        pytest.param("http://u:p@x/a", "", id="userinfo"),
        pytest.param("/" + "x" * 300, "/" + "x" * 199, id="length"),
        pytest.param("/a\x1b\udc80", r"/a\x1b\udc80", id="control-characters"),
    ],
)
def test_a_refused_target_is_cut(target: str, expected: str) -> None:
    """Where secrets may stand in it, it is not written down."""
    assert expected == json(members(request_head(target=target)))["path"]


def test_long_text_is_cut() -> None:
    """A line is written in one piece, whatever a client sends."""
    head = request_head((AGENT, "\x01\udc80" * 10_000), method="M" * 10_000)
    made = members(head, path="/" + "x" * 10_000, reason="y" * 10_000)
    assert (MAX_PATH, MAX_METHOD) == (len(made["path"]), len(made["method"]))
    assert MAX_USER_AGENT == len(made["user_agent"])
    assert len(json_lines()(values(made))) < 4096
    assert len(text_lines()(values(made))) < 4096


def test_bytes_that_were_no_request_have_a_line_too() -> None:
    """Under the id that the client was told."""
    line = json(members(None, request_id="abc", refusal="bad_request"))
    assert ("abc", "", "", "", "bad_request") == tuple(
        line[name] for name in ("id", "method", "path", "version", "refusal")
    )


@pytest.mark.parametrize(
    ("version", "expected"), [((1, 1), "1.1"), ((1, 0), "1.0"), ((2, 0), "2.0")]
)
def test_the_version_is_that_of_the_request(version: tuple[int, int], expected: str) -> None:
    """Also one that is refused."""
    assert expected == members(request_head(version=version))["version"]


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        pytest.param("Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)", id="usual"),
        pytest.param("", "", id="empty"),
        pytest.param('a" 200 1 "\t\x85b', r'a" 200 1 "\t\x85b', id="control-characters"),
        pytest.param("\udce9", r"\udce9", id="no-utf-8"),
        pytest.param("x" * 300, "x" * MAX_USER_AGENT, id="long"),
    ],
)
def test_user_agents_are_bounded_and_escaped(agent: str, expected: str) -> None:
    """Each time anew, or from memory."""
    lines = LineValues()
    head = request_head((AGENT, agent))
    for _ in range(2):
        made = named(lines.of(AT_S, head, RequestRecord(), 200, 42, 0.1, 1.0))
        assert expected == made["user_agent"] == json(made)["user_agent"]


def test_what_is_remembered_of_user_agents_is_bounded() -> None:
    """A client that sends another one each time uses up no memory."""
    lines = LineValues()
    for number in range(5000):
        head = request_head((AGENT, f"{number}"))
        made = named(lines.of(AT_S, head, RequestRecord(), 200, 42, 0.1, 1.0))
        assert f"{number}" == made["user_agent"]
    assert len(lines._agents) <= 1024


def test_fields_can_be_chosen() -> None:
    """They stay in their order."""
    for lines in (json_lines, python_json_lines):
        encode = lines(("status", "path", "verify"))
        assert b'{"path":"/x","status":200}\n' == encode(values(whole()))
        checked = values(whole(verify="GET"))
        assert b'{"path":"/x","status":200,"verify":"GET"}\n' == encode(checked)
        assert b"{}\n" == lines({"tunnel"})(checked)


@given(
    value=st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers(0, 2**63)
    | st.integers(0, 10**12).map(lambda number: number / 1000)
)
@example(value='\x00\x07\x08\t\n\x0b\x0c\r\x1f\x7f"\\/')
@example(value="a" * 10_000 + "\x01" * 10_000)
def test_lines_in_c_are_those_in_python(value: str | float) -> None:
    """Octet by octet, whatever a value is."""
    made = (value, *values(whole())[1:])
    assert python_json_lines()(made) == json_lines()(made)


def test_lines_are_written_in_python_where_there_is_no_module_in_c(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where no compiler was."""
    monkeypatch.setattr("gateway.telemetry.access_line.KERNEL", None)
    made = values(whole())
    assert python_json_lines()(made) == json_lines()(made)


@given(part=st.floats(0, 1))
def test_each_part_of_a_sample_is_a_number_of_json(part: float) -> None:
    """As small as it may be."""
    for lines in (json_lines, python_json_lines):
        assert {"sample": part} == orjson.loads(lines({"sample"})((*[None] * 22, part)))


def test_text_that_is_no_utf_8_has_a_line() -> None:
    """In any field: no request is lost to it."""
    assert r"a\udcff" == json(whole(issuer="a\udcff"))["issuer"]


# --- text -----------------------------------------------------------------------------------------


def test_a_line_of_text_begins_as_the_combined_format() -> None:
    """What has no place in it follows by its name, unless it is empty."""
    expected = (
        "192.0.2.1 - did:ethr:0x1 [2023-11-14T22:13:20.123Z]"
        ' "GET /x HTTP/1.1" 200 42 "-" "curl/8"'
        f" id={request_head().request_id} scheme=https host=app.example.com route=rest bytes_in=7"
        " ms=1.234 auth=session upstream=http://app:3000 upstream_ms=0.987\n"
    )
    assert expected == text_lines()(values(whole())).decode()


def test_fields_of_text_can_be_chosen() -> None:
    """What has a place in the line, and is not chosen, is a hyphen."""
    encode = text_lines(("client", "method", "path", "version", "status", "sample"))
    assert b'192.0.2.1 - - [-] "GET /x HTTP/1.1" 200 - "-" "-"\n' == encode(values(whole()))
    sampled, route_alone = encode(values(whole(sample=0.01))), text_lines({"route"})
    assert b'192.0.2.1 - - [-] "GET /x HTTP/1.1" 200 - "-" "-" sample=0.01\n' == sampled
    assert b'- - - [-] "- - HTTP/-" - - "-" "-" route=rest\n' == route_alone(values(whole()))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        pytest.param("user_agent", 'a" 200 "b', rb'"-" "a\" 200 \"b"', id="quotes"),
        pytest.param("user_agent", 'a\\" x', rb'"-" "a\\\" x"', id="backslash"),
        pytest.param("path", '/" 200 1', rb'"GET /\" 200 1 HTTP/1.1"', id="path"),
        pytest.param("reason", "two words", b'reason="two words"', id="words"),
        pytest.param("issuer", "a b", b'- "a b" [', id="in-front"),
        pytest.param("reason", "a\nb", rb'reason="a\nb"', id="line-break"),
    ],
)
def test_text_cannot_end_its_place(field: str, value: str, expected: bytes) -> None:
    """Quotes and line breaks are escaped."""
    assert expected in text_lines()(values(whole(**{field: value})))


@given(
    text=st.text(st.characters(exclude_categories=())),
    field=st.sampled_from(["user_agent", "path", "host", "issuer", "reason", "id"]),
)
def test_no_text_forges_a_line(text: str, field: str) -> None:
    """Whatever it is, it is one line, and what stands around it stays where it is."""
    made = whole(**{field: text})
    assert json(made)[field] in (text, visible(text))
    line = text_lines()(values(made)).decode()
    assert [line.removesuffix("\n")] == line.splitlines()
    assert line.endswith(" upstream=http://app:3000 upstream_ms=0.987\n")
    assert all(character.isprintable() or character in text for character in line[:-1])
