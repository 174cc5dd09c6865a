"""Field names, and the tables that learn them from peers."""

from ipaddress import ip_address

import pytest

from gateway.core.route import Auth, Route
from gateway.headers import fields
from gateway.headers.fields import FieldAction, FieldActions, normalise_name, serialise
from gateway.headers.request import IdentityNames, RequestFields
from gateway.headers.response import ResponseFields
from gateway.routing.client_address import client_at
from tests.fakes.heads import WRITTEN, multidict, raw, read_lines, request_head

COOKIE = "__Host-session"
HOST = "app.example.com"
CLIENT = client_at(ip_address("203.0.113.9"))
PUBLIC = Route("public", "/*", "app", auth=Auth.NONE)


def test_serialise() -> None:
    """Each line is name, colon, space, value and CRLF, in order."""
    assert b"A: 1\r\nB: \xe9\r\n" == serialise([("A", "1"), ("B", "é")])


def test_learnt_names_are_bounded() -> None:
    """Ever new names do not fill the memory, of requests and of answers."""
    requests, answers = RequestFields(IdentityNames(), COOKIE, HOST), ResponseFields(COOKIE)
    for number in range(3 * fields._MAX_NAMES):
        name = f"X-{number}"
        head = request_head((name, "1"), ("X_User_Issuer", "evil"))
        block = requests.rewrite(head, PUBLIC, CLIENT, "https", None)
        assert [(name, "1"), *WRITTEN] == read_lines(block)
        block = answers.rewrite(raw((name, "1")), multidict(), may_set_session=False)
        assert [(name, "1")] == read_lines(block)
        assert len(requests._policy.is_kept) <= fields._MAX_NAMES
        assert len(answers._actions) <= fields._MAX_NAMES
        assert len(answers._actions.prefixes) <= fields._MAX_NAMES


def keep_all() -> FieldActions:
    """A table of the action for each name, which is always the same."""
    return FieldActions(lambda _: FieldAction.KEEP)


def test_a_flood_of_names_evicts_the_oldest_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in use are learnt again; the table is never empty."""
    monkeypatch.setattr(fields, "_MAX_NAMES", 3)
    actions = keep_all()
    for number in range(10):
        assert [b"A: 1", b"X-%d: 2" % number] == actions.prefixes.lines(
            ((b"A", b"1"), (b"X-%d" % number, b"2"))
        )
        assert len(actions) == len(actions.prefixes) == min(number + 2, 3)
    assert list(actions.prefixes) == list(actions)
    assert b"X-9" in actions


def test_long_names_are_not_learnt() -> None:
    """A thousand of them would take megabytes; they are decided each time."""
    actions, name = keep_all(), b"x" * (fields._MAX_NAME_BYTES + 1)
    assert [name + b": 1"] == actions.prefixes.lines(((name, b"1"),))
    assert not actions
    assert not actions.prefixes
    assert [name[1:] + b": 1"] == actions.prefixes.lines(((name[1:], b"1"),))
    assert [name[1:]] == list(actions) == list(actions.prefixes)


@pytest.mark.parametrize(
    "name", ["X-User-Issuer", "x_user-issuer", "X.USER!ISSUER", "x~user|issuer"]
)
def test_names_are_compared_as_the_laxest_app_reads_them(name: str) -> None:
    """Case and punctuation do not count."""
    assert "x-user-issuer" == normalise_name(name)
