"""The field lines of an app's answers: what reaches the client."""

import pytest

from gateway.core.errors import BadUpstreamAnswer
from gateway.headers.hop_by_hop import HOP_BY_HOP
from gateway.headers.response import ResponseFields, upgrade_fields
from tests.fakes.heads import multidict, raw, read_lines

COOKIE = "__Host-session"


def answered(*fields: tuple[str, str], may_set_session: bool = False) -> list[tuple[str, str]]:
    """Rewrite the fields of an answer; return those that the client sees."""
    rewriter = ResponseFields(COOKIE)
    block = rewriter.rewrite(raw(*fields), multidict(*fields), may_set_session=may_set_session)
    return read_lines(block)


def test_other_fields_pass_unchanged() -> None:
    """The app decides on order, case and repetition."""
    sent = [
        ("cONTENT-tYPE", "text/html"),
        ("Set-Cookie", "a=1"),
        ("Vary", "Origin"),
        ("Set-Cookie", "b=2"),
        ("vary", "Accept"),
        ("X-Empty", ""),
    ]
    assert sent == answered(*sent)


@pytest.mark.parametrize(
    "name",
    sorted(HOP_BY_HOP | {"content-length", "x-request-id", "x-gateway-cost", "x-gateway-refusal"}),
)
def test_hop_by_hop_fields_are_dropped(name: str) -> None:
    """
    Framing is decided anew, the id in the answer is the one in our log, and the cost is for the
    gateway.
    """
    assert [("A", "1")] == answered((name, "x"), ("A", "1"), (name.upper(), "x"))


def test_fields_that_connection_names_are_dropped() -> None:
    """They are between the app and the gateway (RFC 9110 section 7.6.1)."""
    sent = [("Connection", "close, X-Hop"), ("x-hop", "1"), ("X-Other", "2")]
    assert [("X-Other", "2")] == answered(*sent)


@pytest.mark.parametrize(
    ("set_cookie", "expected"),
    [
        pytest.param(f"{COOKIE}=x; Path=/", False, id="our-name"),
        pytest.param(f" {COOKIE} =x", False, id="our-name-among-spaces"),
        pytest.param(f"\t{COOKIE}\t=x", False, id="our-name-among-tabs"),
        pytest.param(f"{COOKIE}=", False, id="our-name-without-value"),
        pytest.param(f"={COOKIE}=x", False, id="a-nameless-cookie-that-reads-like-ours"),
        pytest.param(f"= {COOKIE}=x", False, id="a-nameless-cookie-with-a-space"),
        pytest.param(f"{COOKIE}2=x", True, id="a-longer-name"),
        pytest.param(f"x{COOKIE}=x", True, id="a-name-that-ends-like-ours"),
        pytest.param(f"a={COOKIE}=x", True, id="our-name-in-a-value"),
        pytest.param(COOKIE.upper() + "=x", True, id="cookie-names-have-case"),
        pytest.param("", True, id="nothing"),
    ],
)
def test_no_app_sets_the_session_cookie(set_cookie: str, expected: bool) -> None:
    """It could sign its visitors in as another user; the gateway's own pages may set it."""
    assert expected is bool(answered(("set-cookie", set_cookie)))
    assert answered(("set-cookie", set_cookie), may_set_session=True)


@pytest.mark.parametrize("control", ["\r", "\n", "\0", "\r\nSet-Cookie: a=b"])
@pytest.mark.parametrize(
    "name", [pytest.param("X-A", id="any-field"), pytest.param("Set-Cookie", id="a-cookie")]
)
def test_response_splitting_is_refused(name: str, control: str) -> None:
    """A value that would end its line makes the whole answer a bad one."""
    with pytest.raises(BadUpstreamAnswer):
        answered((name, f"a{control}b"))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Content-Length ", id="a-space-behind-a-name-that-frames"),
        pytest.param("Transfer-Encoding ", id="a-space-behind-the-other"),
        pytest.param("Set-Cookie\t", id="a-tab"),
        pytest.param("X A", id="a-space-inside"),
        pytest.param("X:A", id="a-colon"),
        pytest.param("X\n", id="a-line-feed"),
        pytest.param("Xé", id="a-letter-that-is-not-ascii"),
        pytest.param("", id="nothing"),
    ],
)
def test_field_names_are_tokens(name: str) -> None:
    """``Content-Length : 5`` slips through the parser; a client may take it for the real one."""
    with pytest.raises(BadUpstreamAnswer):
        answered(("A", "1"), (name, "5"))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param([("A", "1")], [], id="none"),
        pytest.param(
            [("upgrade", "TLS/1.3"), ("A", "1"), ("Upgrade", "HTTP/2.0, x")],
            [("Connection", "Upgrade"), ("Upgrade", "TLS/1.3"), ("Upgrade", "HTTP/2.0, x")],
            id="two",
        ),
    ],
)
def test_an_answer_may_name_the_protocol_that_it_requires(
    sent: list[tuple[str, str]], expected: list[tuple[str, str]]
) -> None:
    """With the option that makes it a field of this hop (RFC 9110 section 7.8)."""
    assert expected == read_lines(upgrade_fields(raw(*sent)))


def test_a_required_protocol_holds_no_line_break() -> None:
    """It would be a field of its own."""
    with pytest.raises(BadUpstreamAnswer):
        upgrade_fields([(b"Upgrade", b"x\r\nSet-Cookie: a=b")])


def test_lines_of_apps_are_forgotten_when_they_do_not_come() -> None:
    """Some hold credentials: they stay for a minute at the most."""
    fields = ResponseFields(COOKIE)
    heads, start = fields.of_apps, b"HTTP/1.1 200 OK"
    kept, token = (start, b"A: b\r\n"), (start, b"X-Token: secret\r\n")
    fields.check_deadline(100.0)
    assert heads[token] is not heads[kept]
    fields.check_deadline(129.9)
    assert {token, kept} == heads.keys()
    fields.check_deadline(130.0)
    known = heads[kept]
    fields.check_deadline(160.0)
    assert heads[kept] is known
    assert heads.renew(token) is None
    assert heads._lines.renew(b"X-Token: secret") is None
    assert heads._lines.renew(b"A: b") is None  # its head is known: the line was not asked for
