"""The access log of a gateway that runs: its lines, what is sampled, and the ids of requests."""

import asyncio
import json
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.http import connected, fetch
from tests.fakes.lines import whole_lines
from tests.fakes.metrics import figures
from tests.fakes.world import ADMIN, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLES = (
    "[{route: optional, status: [404], keep: 0%}, {route: optional, keep: 0%},"
    " {route: gateway-login, keep: 0%}]"
)
CONFIG_CHANGES = {
    "admin": ADMIN,
    "client_ip": "x-forwarded-for",
    "trusted_proxies": '["127.0.0.1"]',
    "more": f"log: {{access: {{sample: {SAMPLES}}}}}",
}
SENT_ID = "X-Request-Id: 6ba7b810-9dad-11d1-80b4-00c04fd430c8"
NO_METHOD = "no route of this path has the method"
AGENT = "User-Agent: curl/8.5.0"


def written(around: World) -> list[str]:
    """The lines so far."""
    return whole_lines(around.gateway.config.parent / "access.log")


async def line_with(around: World, text: str) -> str:
    """The line that holds ``text``, when it is written."""
    async with asyncio.timeout(20):
        while not (found := [line for line in written(around) if text in line]):
            await asyncio.sleep(0.02)
    [line] = found
    return line


async def logged(around: World, path: str) -> dict[str, Any]:
    """The JSON line about ``path``."""
    line: dict[str, Any] = json.loads(await line_with(around, f'"path":"{path}"'))
    return line


async def test_a_line_says_who_asked_what_and_how_it_went(around: World) -> None:
    """From where, by which version and scheme, at which server, and how long that took."""
    fields = (AGENT, "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https", "Cookie: a=b")
    answer = await fetch(
        around.port, "POST", "/public/whole?token=secret", *fields, body=b"twelve bytes"
    )
    line = await logged(around, "/public/whole")
    assert (200, "POST", "https", "1.1", "public") == tuple(
        line[name] for name in ("status", "method", "scheme", "version", "route")
    )
    assert ("198.51.100.7", "curl/8.5.0", 12) == (
        line["client"],
        line["user_agent"],
        line["bytes_in"],
    )
    assert f"http://127.0.0.1:{around.app.port}" == line["upstream"]
    assert 0.0 < line["upstream_ms"] <= line["ms"]
    assert answer.value("X-Request-Id") == line["id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert "secret" not in str(line)


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        pytest.param(
            "POST",
            "/login/attempt",
            b"{}",
            (400, "bad_request", "expected either email or phone, as text"),
            id="attempt",
        ),
        pytest.param("GET", "/login/else", b"", (404, "no_route", ""), id="no-page"),
        pytest.param("PUT", "/login", b"", (405, "method_not_allowed", NO_METHOD), id="login"),
        pytest.param(
            "GET", "/session", b"", (401, "unauthenticated", "no_credential"), id="session"
        ),
        pytest.param("PUT", "/logout", b"", (405, "method_not_allowed", NO_METHOD), id="logout"),
        pytest.param(
            "POST", "/logout?everywhere=x", b"", (400, "bad_request", "everywhere"), id="everywhere"
        ),
        pytest.param(
            "POST", "/locks/a", b"{}", (401, "unauthenticated", "no_credential"), id="lock"
        ),
        pytest.param(
            "GET", "/verify/x", b"", (401, "unauthenticated", "no_credential"), id="verify"
        ),
    ],
)
async def test_refusals_of_own_pages_are_logged_and_counted(
    around: World, method: str, path: str, body: bytes, expected: tuple[int, str, str]
) -> None:
    """Code and reason are in the line, and the code is counted; the client sees the code alone."""
    status, code, _ = expected
    sent = f"X-Request-Id: {code}-{path[1:6]}".replace("/", "-")
    metric = f'gateway_refusals_total{{code="{code}"}}'
    before = (await figures(around.gateway.admin_port)).get(metric, 0)
    fields = ("Content-Type: application/json", "Origin: http://localhost", sent)
    answer = await fetch(around.port, method, f"/_gateway{path}", *fields, body=body)
    assert (status, code) == (answer.status, answer.json()["code"])
    assert [] == answer.values("X-Gateway-Refusal")
    line = json.loads(await line_with(around, sent.partition(" ")[2]))
    assert expected == (line["status"], line["refusal"], line["reason"])
    assert (await figures(around.gateway.admin_port))[metric] == before + 1


async def test_what_is_sampled_away_leaves_refusals_and_errors(around: World) -> None:
    """Unless their status is named; all are counted."""
    around.app.answer("/optional/missing", b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    around.app.answer("/optional/broken", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    for name in ("fine", "missing", "broken"):
        await around.get(f"/optional/{name}")
    await around.get("/optional/refused", "Authorization: Bearer none")
    await around.get("/public/last")
    await logged(around, "/public/last")
    seen = {line.partition('"path":"')[2].partition('"')[0] for line in written(around)}
    assert {"/optional/broken", "/optional/refused"} == {
        path for path in seen if path.startswith("/optional/")
    }


async def test_the_id_of_a_trusted_proxy_is_on_every_answer_and_upstream(around: World) -> None:
    """On answers of the app, of the gateway, and on refusals; one that cannot be kept is not."""
    sent = SENT_ID.partition(": ")[2]
    for path in ("/public/id", "/_gateway/login", "/private", "/%"):
        answer = await around.get(path, SENT_ID)
        assert [sent] == answer.values("X-Request-Id"), path
    assert [sent] == around.app.seen[-1].values("X-Request-Id")
    for wrong in (f"{SENT_ID}, b", "X-Request-Id: a b", f"{SENT_ID}\r\n{SENT_ID}"):
        answer = await around.get("/public/id", wrong)
        assert answer.value("X-Request-Id") == around.app.seen[-1].values("X-Request-Id")[0] != sent


async def test_a_client_chooses_no_id(around: World) -> None:
    """It is made anew for a peer that is no trusted proxy."""
    async with connected(around.port, source="127.0.0.2") as client:
        await client.send(
            b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n" + SENT_ID.encode() + b"\r\n\r\n"
        )
        answer = await client.answer()
    assert answer.values("X-Request-Id") == around.app.seen[-1].values("X-Request-Id")
    assert 16 == len(answer.value("X-Request-Id"))


async def test_no_client_forges_a_line(around: World) -> None:
    """In text, which a reload begins; and what it sends is escaped."""
    await _reload(around, lambda text: text.replace("{sample:", "{format: text, sample:"))
    forged = 'x" 200 1 "-" "y\t\x85 id=0'
    await around.get("/public/text", f"User-Agent: {forged}", "X-Forwarded-For: 198.51.100.7")
    line = await line_with(around, "/public/text")
    assert re.match(
        r"198\.51\.100\.7 - - \[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]"
        r' "GET /public/text HTTP/1\.1" 200 \d+ "-" "x\\" 200 1 \\"-\\" \\"y\\\\t',
        line,
    )
    assert line.isascii()
    assert line.isprintable()
    assert f" upstream=http://127.0.0.1:{around.app.port} upstream_ms=" in line
    await _reload(around, lambda text: text.replace("{format: text, sample:", "{sample:"))


async def _reload(around: World, change: Callable[[str], str]) -> None:
    async def applied() -> float:
        found = await figures(around.gateway.admin_port)
        return found.get('gateway_reloads_total{outcome="applied"}', 0)

    before = await applied()
    config = around.gateway.config
    config.write_text(change(config.read_text()))
    around.gateway.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(20):
        while await applied() == before:
            await asyncio.sleep(0.02)
