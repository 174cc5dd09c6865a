"""The fields for the gateway's own pages."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.core.reasons import CrossSiteReason, Reason
from gateway.core.record import RequestRecord
from gateway.core.route import Route
from gateway.headers.internal import INTERNAL_REFUSAL, internal_fields, note_refusal, told_refusal
from gateway.routing.client_address import client_at
from gateway.sessions.seal import key_name
from tests.fakes.heads import multidict

PAGES = Route("pages", "/*", "pages", is_internal=True)
SIGN_IN = replace(PAGES, is_sign_in=True)
CLIENT = client_at(ip_address("203.0.113.9"))

A, B, C, D, E = (letter * 43 for letter in "abcde")


def told(route: Route, *cookies: str) -> str:
    fields = multidict(*(("Cookie", cookie) for cookie in cookies))
    return internal_fields(route, CLIENT, fields, "session").decode()


def keys(*secrets: str) -> str:
    return " ".join(map(key_name, secrets))


def test_pages_are_told_from_where_a_request_comes() -> None:
    """The client's address is written for all pages; session keys only for those that sign in."""
    assert "X-Gateway-Client: 203.0.113.9\r\n" == told(PAGES, f"session={A}")


@pytest.mark.parametrize(
    ("cookies", "replaced"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["theme=dark"], "", id="another-cookie"),
        pytest.param([f"session={A}"], keys(A), id="one"),
        pytest.param([f"theme=dark; session={A}"], keys(A), id="beside-another"),
        pytest.param([f"session={A}; session={A}"], keys(A), id="one-twice"),
        pytest.param([f"session={A}; session={B}"], keys(A, B), id="tossed-in"),
        pytest.param([f"session={A}", f"session={B}"], keys(A, B), id="in-two-fields"),
        pytest.param(["session=short", f"session={B}"], keys(B), id="none-of-ours"),
        pytest.param(["session=" + "x" * 10_000], "", id="oversized"),
        pytest.param(
            [f"session={A}; session={B}; session={C}; session={D}; session={E}"],
            keys(A, B, C, D),
            id="too-many",
        ),
    ],
)
def test_a_login_is_told_which_sessions_it_replaces(cookies: list[str], replaced: str) -> None:
    """Their keys are written, so the pages never see the secret of a cookie."""
    line = told(SIGN_IN, *cookies).split("\r\n")[1]

    assert f"X-Gateway-Replaced: {replaced}" == line
    assert A not in line


@pytest.mark.parametrize("reason", ["", "not JSON", "100 %\r\nX: y", "größer"])
def test_a_refusal_of_a_page_is_recorded(reason: str) -> None:
    """What the page tells is what the log says, whatever the reason is."""
    record, told = RequestRecord(), told_refusal("bad_request", reason)
    note_refusal(multidict((INTERNAL_REFUSAL, told)), record)
    assert ("bad_request", reason) == (record.refusal, record.reason)
    assert told.isascii()
    assert told.isprintable()


def test_a_page_tells_reasons_of_the_lists_as_such() -> None:
    """So they count in the metrics; free text is no label, whatever a client makes it say."""
    record = RequestRecord()
    for reason, is_listed in ((CrossSiteReason.SITE_FOREIGN, True), ("foreign", False)):
        told = told_refusal("cross_site", reason)
        note_refusal(multidict((INTERNAL_REFUSAL, told)), record)
        assert (reason, is_listed) == (record.reason, isinstance(record.reason, Reason))


def test_an_answer_of_a_page_is_no_refusal() -> None:
    """Most are none."""
    record = RequestRecord()
    note_refusal(multidict(("Content-Type", "text/html")), record)
    assert RequestRecord() == record
