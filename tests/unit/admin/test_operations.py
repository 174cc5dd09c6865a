"""The API of what operators look up and do, asked over a socket."""

from collections.abc import AsyncIterator

import orjson
import pytest

from gateway.admin.access import Operator
from gateway.admin.operations import NotPossible
from gateway.config.server import AdminSettings
from gateway.core.errors import MagicUnavailable, StoreUnavailable
from tests.fakes.admin import Deeds, Source, Works, listening
from tests.fakes.http import fetch

TOKEN = "a token for tests that is long enough"
JSON = "Content-Type: application/json"
ACTIONS = ("drain", "end-session", "reload", "replay", "reset-limit")
VIEWS = (
    *("/api/config", "/api/hooks", "/api/limits/callers?limit=a"),
    *("/api/people", "/api/people/sessions?issuer=a"),
)


@pytest.fixture
def works() -> Works:
    return Works()


async def _serving(works: Works, **more: object) -> AsyncIterator[int]:
    settings = AdminSettings.model_validate({"listen": "127.0.0.1:0", **more})
    async with listening(settings, Source(), Deeds(), operations=works) as port:
        yield port


@pytest.fixture
async def port(works: Works) -> AsyncIterator[int]:
    async for each in _serving(works):
        yield each


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_is_done_for_an_address(port: int, works: Works, action: str) -> None:
    """With what was sent along; the audit file names the address."""
    answer = await fetch(port, "POST", f"/api/actions/{action}", JSON, body=b'{"a": "b"}')
    assert (200, {"did": action}) == (answer.status, orjson.loads(answer.body))
    assert "no-store" == answer.value("Cache-Control")
    assert [(action, {"a": "b"}, Operator(origin="127.0.0.1"))] == works.asked


async def test_what_is_looked_up(port: int, works: Works) -> None:
    """With what the query says."""
    for path in (*VIEWS[:3], "/api/people?q=%40a.example&more=x", VIEWS[4]):
        assert 200 == (await fetch(port, "GET", path)).status
    assert [
        ("config",),
        ("hooks",),
        ("callers", "a"),
        ("people", "@a.example", "x"),
        ("sessions", "a"),
    ] == works.asked


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no such limit"), (400, "bad_request", "no such limit")),
        (NotPossible("no file"), (409, "not_possible", "no file")),
        (
            StoreUnavailable("TimeoutError"),
            (503, "store_unavailable", "The store does not answer (TimeoutError)."),
        ),
        (
            MagicUnavailable("status 500"),
            (503, "magic_unavailable", "Magic does not answer (status 500)."),
        ),
    ],
)
async def test_what_cannot_be_done_is_said(
    port: int, works: Works, error: Exception, expected: tuple[int, str, str]
) -> None:
    """By a problem document."""
    works.error = error
    answer = await fetch(port, "POST", "/api/actions/reload", JSON, body=b"{}")
    document = orjson.loads(answer.body)
    assert expected == (answer.status, document["code"], document["detail"])


@pytest.mark.parametrize(
    ("path", "fields", "body", "expected"),
    [
        ("/api/actions/nonsense", (JSON,), b"{}", 404),
        ("/api/actions/drain", (), b"{}", 415),
        ("/api/actions/drain", ("Content-Type: text/plain",), b"{}", 415),
        ("/api/actions/drain", (JSON,), b"[]", 400),
        ("/api/actions/drain", (JSON,), b"{", 400),
        ("/api/actions/drain", (JSON, "Origin: http://evil.example"), b"{}", 403),
        ("/api/actions/drain", (JSON, "Sec-Fetch-Site: cross-site"), b"{}", 403),
        ("/api/actions/drain", (JSON, "Sec-Fetch-Site: same-site"), b"{}", 403),
    ],
)
async def test_what_a_foreign_page_can_send_does_nothing(
    port: int, works: Works, path: str, fields: tuple[str, ...], body: bytes, expected: int
) -> None:
    """A form cannot send JSON, and a script says which page it is from."""
    assert expected == (await fetch(port, "POST", path, *fields, body=body)).status
    assert [] == works.asked


async def test_a_link_does_nothing(port: int, works: Works) -> None:
    """No action is a GET."""
    for action in ACTIONS:
        assert 405 == (await fetch(port, "GET", f"/api/actions/{action}")).status
    assert [] == works.asked


async def test_nothing_is_done_or_told_without_the_token(works: Works) -> None:
    """With it, all is."""
    async for port in _serving(works, token=TOKEN):
        drain = (port, "POST", "/api/actions/drain", JSON)
        assert 401 == (await fetch(*drain, body=b"{}")).status
        for path in VIEWS:
            assert 401 == (await fetch(port, "GET", path)).status
        assert [] == works.asked
        bearer = f"Authorization: Bearer {TOKEN}"
        assert 200 == (await fetch(*drain, bearer, body=b"{}")).status
        assert 200 == (await fetch(port, "GET", VIEWS[0], bearer)).status


async def test_read_only_shows_alone(works: Works) -> None:
    """All views answer; no action is done."""
    async for port in _serving(works, read_only=True):
        for action in ACTIONS:
            answer = await fetch(port, "POST", f"/api/actions/{action}", JSON, body=b"{}")
            assert (403, "read_only") == (answer.status, orjson.loads(answer.body)["code"])
        assert [] == works.asked
        assert 200 == (await fetch(port, "GET", VIEWS[0])).status


async def test_without_operations_the_figures_are_there_alone() -> None:
    """As where a program embeds the listener."""
    settings = AdminSettings.model_validate({"listen": "127.0.0.1:0"})
    async with listening(settings, Source(), Deeds()) as port:
        assert 404 == (await fetch(port, "GET", "/api/config")).status
        assert 200 == (await fetch(port, "GET", "/")).status
