"""Who may do what: real gateway, real store, real sockets."""

import asyncio
import json
import time
from hashlib import sha256

import pytest
from redis.asyncio import Redis

from gateway.authn.did_token.mint import TokenSigner, signer
from tests.fakes import metrics
from tests.fakes.http import Answer, connected, fetch
from tests.fakes.timing import assert_within, at_best_of
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.upstream import Seen
from tests.fakes.world import ADMIN, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The example of RFC 6455 section 1.3.
HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)
ACCEPTED = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

OBEYED_S = 1.5
"""A second, and what a busy machine adds."""

CONFIG_CHANGES = {
    "admin": ADMIN,
    "trusted_proxies": "[127.0.0.0/8]",
    "client_ip": "x-forwarded-for",
    "more_identity": (
        f', roles_from_store: true, roles: [{{role: staff, issuers: ["{ALICE.issuer}"]}}]'
        ", permissions: {staff: [billing:read], beta: [labs:use, billing:read]}"
    ),
    "more_routes": """
  - {name: staff, match: {path: "/staff/*"}, upstream: app, allow: {roles: [staff]}}
  - {name: bills, match: {path: "/bills/*"}, upstream: app, allow: {permissions: [billing:read]}}
  - {name: beta, match: {path: "/beta/*"}, upstream: app, allow: {roles: [beta]}}
  - {name: unbanned, match: {path: "/unbanned/*"}, upstream: app, deny: {roles: [banned]}}
  - {name: mail, match: {path: "/mail/*"}, upstream: app, allow: {emails: ["*@example.com"]},
     deny: {emails: ["Mallory@Example.com"]}}
  - {name: office, match: {path: "/office/*"}, upstream: app, allow: {networks: [10.0.0.0/8]}}
  - {name: maybe, match: {path: "/maybe/*"}, auth: optional, upstream: app,
     allow: {domains: [example.com]}}
  - {name: readers, match: {path: "/read/*"}, upstream: app, allow: {methods: [GET]}}
""",
}


def named(around: World, email: str, by: TokenSigner = BOB) -> str:
    """Return the field line of a token of a user with this email, new to the gateway."""
    line = around.bearer(by)
    around.magic.add_user(by.issuer, email)
    return line


def new_user(name: str) -> TokenSigner:
    """Return the signer of a user for each name: records of users are cached."""
    return signer(sha256(name.encode()).digest())


def outcome(answer: Answer) -> tuple[int, str]:
    """Status and reason."""
    return answer.status, "" if answer.status == 200 else str(answer.json().get("reason", ""))


async def test_a_role_of_the_config(around: World) -> None:
    """Who has it gets in, and the app reads it; who has not is told what kind of thing lacks."""
    bob = named(around, "bob@example.com")
    assert (403, "role_missing") == outcome(await around.get("/staff/x", bob))
    assert [] == around.app.seen
    assert (200, "") == outcome(await around.get("/staff/x", around.bearer()))
    assert ["staff"] == around.app.seen[-1].values("X-User-Roles")


async def test_a_permission_of_a_role(around: World) -> None:
    """The app reads it in a field that no client can send, in the store, and on the page."""
    bob = named(around, "bob@example.com")
    forged = ("X-User-Permissions: billing:read", "x_user.permissions: billing:read")
    assert (403, "permission_missing") == outcome(await around.get("/bills/x", bob, *forged))
    assert 200 == (await around.get("/read/x", bob, *forged)).status
    assert b"billing" not in around.app.raw.lower()

    token = around.bearer()
    assert (200, "") == outcome(await around.get("/bills/x", token))
    assert ["billing:read"] == around.app.seen[-1].values("X-User-Permissions")
    assert ["billing:read"] == (await around.get("/_gateway/session", token)).json()["permissions"]
    async with Redis.from_url(around.store.url) as redis:
        record = await redis.get(f"user:{ALICE.issuer}")
    ours = json.loads(record or b"")["gateway"]
    assert (["staff"], ["billing:read"]) == (ours["roles"], ours["permissions"])


def _refused(around: World, path: str) -> list[dict[str, object]]:
    """The lines of the log about 403 for ``path``; other tests have theirs."""
    return [x for x in around.gateway.log_lines() if (x["status"], x["path"]) == (403, path)]


async def test_a_refusal_is_written_down(around: World) -> None:
    """Code and reason in the log, who it was, and a figure."""
    answer = await around.get("/staff/x", named(around, "bob@example.com"))
    assert "forbidden" == answer.code
    async with asyncio.timeout(20):
        while not (lines := _refused(around, "/staff/x")):
            await asyncio.sleep(0.02)
    line = lines[-1]
    assert ("forbidden", "role_missing") == (line["refusal"], line["reason"])
    assert BOB.issuer == line["issuer"]
    figures = await metrics.figures(around.gateway.admin_port)
    assert 1 <= figures['gateway_refusal_reasons_total{reason="role_missing"}']


@at_best_of(3)
async def test_roles_in_redis_are_obeyed_within_a_second(around: World) -> None:
    """An app gives a role and takes it away; the header, the page and the route follow."""
    cookie = await around.sign_in()
    redis = Redis.from_url(around.store.url)
    try:
        for record, status, roles in (
            (b'["beta","admin"]', 200, ["admin,beta,staff"]),
            (b"[]", 403, ["staff"]),
            (b"beta", 200, ["beta,staff"]),
        ):
            await redis.set(f"roles:{ALICE.issuer}", record)
            since_s = time.monotonic()
            while (await around.get("/beta/x", cookie)).status != status:
                await asyncio.sleep(0.02)
            assert_within(OBEYED_S, time.monotonic() - since_s)
            await around.get("/read/x", cookie)
            assert roles == around.app.seen[-1].values("X-User-Roles")
            said = await around.get("/_gateway/session", cookie)
            assert roles[0].split(",") == said.json()["roles"]
    finally:
        await redis.delete(f"roles:{ALICE.issuer}")
        await redis.aclose()


@pytest.mark.parametrize("command", ["set", "sadd", "rpush"])
async def test_unknown_roles_are_no_roles_and_not_all(around: World, command: str) -> None:
    """An unreadable record: 503 where roles count; elsewhere roles are left out."""
    cookie = await around.sign_in(BOB)
    redis = Redis.from_url(around.store.url)
    try:
        await getattr(redis, command)(f"roles:{BOB.issuer}", b'{"beta": true}')
        async with asyncio.timeout(20):  # what was read before is used for a second
            while (await around.get("/beta/x", cookie)).status != 503:
                await asyncio.sleep(0.02)
        for path in ("/beta/x", "/staff/x", "/unbanned/x"):
            assert (503, "store_unavailable") == (
                (answer := await around.get(path, cookie)).status,
                answer.code,
            )
        assert 200 == (await around.get("/read/x", cookie)).status
        assert [] == around.app.seen[-1].values("X-User-Roles")
        assert (await around.get("/_gateway/session", cookie)).json()["roles"] is None
    finally:
        await redis.delete(f"roles:{BOB.issuer}")
        await redis.aclose()


@pytest.mark.parametrize("forged", ["X-User-Roles: admin", "x_user.roles: staff"])
async def test_roles_cannot_be_brought_along(around: World, forged: str) -> None:
    """They are dropped on the way in, where the caller has none of their own too."""
    bob = named(around, "bob@example.com")
    assert 403 == (await around.get("/staff/x", bob, forged)).status
    assert 200 == (await around.get("/read/x", bob, forged)).status
    assert b"roles" not in around.app.raw.lower()


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("alice@EXAMPLE.com", (200, "")),
        ("mallory@example.com", (403, "denied")),
        ("MALLORY@example.com", (403, "denied")),
        ("eve@notexample.com", (403, "not_listed")),
        ("eve@example.com.evil.org", (403, "not_listed")),
        ("eve@evil.org@example.com", (403, "denied")),
    ],
)
async def test_emails(around: World, email: str, expected: tuple[int, str]) -> None:
    """All of a domain except one address, and no look-alike domain."""
    by = new_user(email)
    assert expected == outcome(await around.get("/mail/x", named(around, email, by)))


async def test_networks(around: World) -> None:
    """The client's address counts, as the trusted proxy tells it, not as the client does."""
    line = around.bearer()
    office, cafe = "X-Forwarded-For: 10.1.2.3", "X-Forwarded-For: 10.1.2.3, 203.0.113.9"
    assert (200, "") == outcome(await around.get("/office/x", line, office))
    assert (403, "network_not_allowed") == outcome(await around.get("/office/x", line, cafe))


async def test_methods(around: World) -> None:
    """HEAD is let in with GET, and POST is not."""
    line = around.bearer()
    assert 200 == (await fetch(around.port, "HEAD", "/read/x", line)).status
    answer = await fetch(around.port, "POST", "/read/x", line)
    assert (403, "method_not_allowed") == outcome(answer)


@pytest.mark.parametrize(("email", "status"), [("ws@example.com", 101), ("ws@evil.org", 403)])
async def test_websockets(around: World, email: str, status: int) -> None:
    """Authorisation holds for WebSockets; the app sees only the allowed one."""

    async def accept(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(seen)
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{ACCEPTED}\r\n\r\n".encode())

    heard: list[Seen] = []
    around.app.streams["/mail/ws"] = accept
    line = named(around, email, new_user(email))
    async with connected(around.port) as client:
        await client.send(
            f"GET /mail/ws HTTP/1.1\r\nHost: localhost\r\n{HANDSHAKE}\r\n{line}\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(client.reader.readuntil(b"\r\n"), 20)
    assert status == int(head.split()[1])
    assert (status == 101) == bool(heard)


async def test_where_signing_in_is_optional(around: World) -> None:
    """401 without credentials, 403 for a user who is not listed, 200 for one who is."""
    anonymous = await around.get("/maybe/x")
    assert (401, "unauthenticated") == (anonymous.status, anonymous.code)
    other = named(around, "eve@evil.org", new_user("maybe"))
    assert (403, "not_listed") == outcome(await around.get("/maybe/x", other))
    assert (200, "") == outcome(await around.get("/maybe/x", around.bearer()))
