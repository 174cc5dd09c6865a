"""The gateway's own answers, as bytes."""

import h11
import pytest

from gateway.core.errors import PROBLEM_TYPES, BadUpstreamAnswer, Refusal, StoreUnavailable
from gateway.core.problem import problem, problem_of
from gateway.core.request import Reply
from gateway.proxy.http1.serialise import serialise_problem, serialise_reply, status_line

DATE = b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"


def test_a_reply_is_serialised_line_by_line() -> None:
    """Status line, date, length, fields in their order; the sender ends the head."""
    reply = Reply(200, (("A", "1"), ("B", "2")), b"")
    expected = b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 0\r\nA: 1\r\nB: 2\r\n"
    assert (expected, b"") == serialise_reply(reply, DATE)


def test_a_reply_without_content_has_no_length() -> None:
    """RFC 9110 section 8.6 forbids it with 204."""
    expected = b"HTTP/1.1 204 No Content\r\n" + DATE
    assert (expected, b"") == serialise_reply(Reply(204, (), b""), DATE)


@pytest.mark.parametrize(
    "kind", [kind for kind in PROBLEM_TYPES if kind.__init__ is Refusal.__init__]
)
def test_every_refusal_can_be_read_by_a_client(kind: type[Refusal]) -> None:
    """A strict parser reads status, fields and the whole body."""
    _, reply = problem(kind(), "req-1")
    head, body = serialise_reply(reply, DATE)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(head + b"\r\n" + body)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert reply.status == response.status_code
    data = client.next_event()
    assert isinstance(data, h11.Data)
    assert reply.body == bytes(data.data)
    assert isinstance(client.next_event(), h11.EndOfMessage)


def test_the_length_is_that_of_the_body() -> None:
    """The announced length counts octets."""
    _, reply = problem(StoreUnavailable(), "réq")
    head, body = serialise_reply(reply, DATE)
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        pytest.param(200, "OK", b"HTTP/1.1 200 OK\r\n", id="standard"),
        pytest.param(200, "", b"HTTP/1.1 200 \r\n", id="empty"),
        pytest.param(500, "it broke\t", b"HTTP/1.1 500 it broke\t\r\n", id="message"),
        pytest.param(500, "\udce4", b"HTTP/1.1 500 \xe4\r\n", id="other-bytes"),
    ],
)
def test_the_reason_phrase_of_an_app_passes(status: int, reason: str, expected: bytes) -> None:
    """As it came."""
    assert expected == status_line(status, reason)


@pytest.mark.parametrize("control", ["\0", "\r", "\n", "\x1f", "\x7f"])
def test_a_control_character_in_a_reason_phrase_is_refused(control: str) -> None:
    """It could end the line (response splitting)."""
    with pytest.raises(BadUpstreamAnswer):
        status_line(200, f"O{control}K")


@pytest.mark.parametrize(
    "kind", [kind for kind in PROBLEM_TYPES if kind.__init__ is Refusal.__init__]
)
def test_a_remembered_head_is_that_of_the_reply(kind: type[Refusal]) -> None:
    """Each refusal is answered as its reply would be, whatever the length of the id, twice."""
    for request_id in ("0" * 16, "1" * 17) * 2:
        head, body = serialise_problem(problem_of(kind()), request_id)
        expected, expected_body = serialise_reply(problem(kind(), request_id)[1], b"")
        assert (expected, expected_body) == (head, body)
