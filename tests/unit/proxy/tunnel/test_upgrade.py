"""What both sides must say before a connection becomes another one."""

import pytest

from gateway.core.errors import (
    BadRequest,
    BadUpstreamAnswer,
    Refusal,
    UnsupportedUpgrade,
    WrongWebSocketVersion,
)
from gateway.proxy.tunnel.upgrade import Upgrade, check_switch, may_switch, requested_upgrade
from tests.fakes.heads import multidict

KEY = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
VERSION = ("Sec-WebSocket-Version", "13")
UPGRADE = ("Upgrade", "websocket")
CONNECTION = ("Connection", "Upgrade")

HEAD = b"GET / HTTP/1.1\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\n"


def test_a_websocket_is_asked_for() -> None:
    """The token in any case; the key decides what the answer must be."""
    asked = requested_upgrade("GET", (1, 1), multidict(("Upgrade", "WebSocket"), KEY, VERSION))
    assert ("websocket", ACCEPT) == (asked.name, asked.accept)
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" == asked.fields


@pytest.mark.parametrize(
    ("method", "version", "fields", "expected"),
    [
        pytest.param("CONNECT", (1, 1), [], True, id="CONNECT"),
        pytest.param("GET", (1, 1), [UPGRADE], True, id="websocket"),
        pytest.param("GET", (1, 1), [("Upgrade", "h2c, WebSocket/13")], True, id="one-of-two"),
        pytest.param("POST", (1, 1), [UPGRADE, ("Content-Length", "1")], True, id="faulty"),
        pytest.param("GET", (1, 0), [UPGRADE], True, id="websocket-in-1.0"),
        pytest.param("GET", (1, 1), [("Upgrade", "chat/2")], True, id="another"),
        pytest.param("GET", (1, 0), [("Upgrade", "chat/2")], False, id="another-in-1.0"),
        pytest.param("POST", (1, 1), [("Upgrade", "h2c")], False, id="another-by-POST"),
        pytest.param("GET", (1, 1), [("Upgrade", "a, b")], False, id="two"),
        pytest.param("GET", (1, 1), [("Upgrade", "a"), ("Upgrade", "b")], False, id="two-lines"),
        pytest.param("GET", (1, 1), [("Upgrade", "")], False, id="none"),
        pytest.param("GET", (1, 1), [("Upgrade", "a/b/c")], False, id="no-protocol"),
        pytest.param(
            "GET", (1, 1), [("Upgrade", "h2c"), ("Content-Length", "0")], False, id="length"
        ),
        pytest.param(
            "GET",
            (1, 1),
            [("Upgrade", "h2c"), ("Transfer-Encoding", "chunked")],
            False,
            id="chunks",
        ),
    ],
)
def test_what_comes_behind_is_kept_where_a_switch_is_possible(
    method: str, version: tuple[int, int], fields: list[tuple[str, str]], expected: bool
) -> None:
    """Else ``Upgrade`` is ignored; a request for a WebSocket never is, so its faults are told."""
    assert expected == may_switch(method, version, multidict(*fields))


def test_another_protocol_is_asked_for() -> None:
    """With its version, as the client spells it."""
    asked = requested_upgrade("GET", (1, 1), multidict(("Upgrade", "Chat/2.0")))
    assert ("chat/2.0", "") == (asked.name, asked.accept)
    assert b"Connection: Upgrade\r\nUpgrade: Chat/2.0\r\n" == asked.fields


@pytest.mark.parametrize(
    ("method", "version", "fields", "refusal"),
    [
        pytest.param("POST", (1, 1), [UPGRADE, KEY, VERSION], UnsupportedUpgrade, id="POST"),
        pytest.param("CONNECT", (1, 1), [], UnsupportedUpgrade, id="CONNECT"),
        pytest.param("GET", (1, 0), [UPGRADE, KEY, VERSION], UnsupportedUpgrade, id="1.0"),
        pytest.param(
            "GET", (1, 1), [UPGRADE, KEY, VERSION, ("Content-Length", "0")], BadRequest, id="length"
        ),
        pytest.param(
            "GET", (1, 1), [UPGRADE, ("Transfer-Encoding", "chunked")], BadRequest, id="chunked"
        ),
        pytest.param("GET", (1, 1), [], UnsupportedUpgrade, id="no-token"),
        pytest.param("GET", (1, 1), [("Upgrade", "")], UnsupportedUpgrade, id="empty-token"),
        pytest.param(
            "GET", (1, 1), [("Upgrade", "websocket, h2c")], UnsupportedUpgrade, id="two-in-a-line"
        ),
        pytest.param(
            "GET", (1, 1), [UPGRADE, ("Upgrade", "h2c")], UnsupportedUpgrade, id="two-lines"
        ),
        pytest.param("GET", (1, 1), [("Upgrade", "a/b/c")], UnsupportedUpgrade, id="no-protocol"),
        pytest.param("GET", (1, 1), [UPGRADE, KEY], BadRequest, id="no-version"),
        pytest.param("GET", (1, 1), [UPGRADE, VERSION], BadRequest, id="no-key"),
        pytest.param("GET", (1, 1), [UPGRADE, KEY, KEY, VERSION], BadRequest, id="two-keys"),
        pytest.param(
            "GET", (1, 1), [UPGRADE, KEY, VERSION, VERSION], BadRequest, id="two-versions"
        ),
        pytest.param(
            "GET",
            (1, 1),
            [UPGRADE, KEY, ("Sec-WebSocket-Version", "8")],
            WrongWebSocketVersion,
            id="version-8",
        ),
        pytest.param(
            "GET",
            (1, 1),
            [UPGRADE, ("Sec-WebSocket-Key", "c2hvcnQ="), VERSION],
            BadRequest,
            id="short-key",
        ),
        pytest.param(
            "GET",
            (1, 1),
            [UPGRADE, ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=\xe9"), VERSION],
            BadRequest,
            id="key-not-base64",
        ),
    ],
)
def test_what_is_not_asked_properly(
    method: str, version: tuple[int, int], fields: list[tuple[str, str]], refusal: type[Refusal]
) -> None:
    """It is refused before the app hears of it."""
    with pytest.raises(refusal):
        requested_upgrade(method, version, multidict(*fields))


WEBSOCKET = Upgrade("websocket", ACCEPT)
ACCEPTED = ("Sec-WebSocket-Accept", ACCEPT)


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        pytest.param(WEBSOCKET, [UPGRADE, CONNECTION, ACCEPTED], id="websocket"),
        pytest.param(
            WEBSOCKET,
            [("Upgrade", "WebSocket"), ("Connection", "keep-alive, upgrade"), ACCEPTED],
            id="other-case",
        ),
        pytest.param(Upgrade("Chat"), [("Upgrade", "chat"), CONNECTION], id="other-protocol"),
    ],
)
def test_a_101_that_answers(asked: Upgrade, fields: list[tuple[str, str]]) -> None:
    """Both sides mean the same: the connection becomes it."""
    check_switch(asked, (1, 1), multidict(*fields))


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        pytest.param((1, 1), [CONNECTION, ACCEPTED], id="names-nothing"),
        pytest.param((1, 1), [("Upgrade", "h2c"), CONNECTION, ACCEPTED], id="names-another"),
        pytest.param((1, 1), [UPGRADE, UPGRADE, CONNECTION, ACCEPTED], id="names-two"),
        pytest.param((1, 1), [UPGRADE, ACCEPTED], id="no-connection"),
        pytest.param((1, 1), [UPGRADE, ("Connection", "close"), ACCEPTED], id="closes"),
        pytest.param((1, 1), [UPGRADE, CONNECTION], id="no-accept"),
        pytest.param((1, 1), [UPGRADE, CONNECTION, ACCEPTED, ACCEPTED], id="two-accepts"),
        pytest.param(
            (1, 1),
            [UPGRADE, CONNECTION, ("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")],
            id="wrong-accept",
        ),
        pytest.param((1, 1), [UPGRADE, CONNECTION, ACCEPTED, ("Content-Length", "0")], id="length"),
        pytest.param(
            (1, 1),
            [UPGRADE, CONNECTION, ACCEPTED, ("Transfer-Encoding", "chunked")],
            id="chunked",
        ),
        pytest.param((1, 0), [UPGRADE, CONNECTION, ACCEPTED], id="1.0"),
    ],
)
def test_a_101_that_answers_something_else(
    version: tuple[int, int], fields: list[tuple[str, str]]
) -> None:
    """An app, or a cache before it, that has not read the request is not believed."""
    with pytest.raises(BadUpstreamAnswer):
        check_switch(WEBSOCKET, version, multidict(*fields))
