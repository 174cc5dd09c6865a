"""Programs get in with certificates: real TLS, and curl as the client."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.proxy.downstream.tls import CertificateFiles
from gateway.store.connect import redis_client as connect
from tests.fakes.certificates import Authority
from tests.fakes.world import ADMIN, World, world

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is the client here"),
]

CREDENTIALS = """
credentials:
  client_certificates: {names: ["spiffe://a.example/*", "*.svc.example"]}
"""
ROUTES = """
  - {name: api, match: {path: "/api/*"}, accept: [session, client-certificate], upstream: app}
"""


class House(NamedTuple):
    """A gateway that asks for certificates, and who issues them."""

    around: World
    server: Authority
    clients: Authority

    async def curl(
        self, path: str, own: CertificateFiles | None, *more: str
    ) -> tuple[int, dict[str, str]]:
        """Status (0 where there was no answer) and problem document."""
        arguments = ["--cacert", str(self.server.file), *more]
        if own is not None:
            arguments += ["--cert", own.certificate, "--key", own.key]
        process = await asyncio.create_subprocess_exec(
            "curl", "--silent", "--max-time", "30", "--write-out", "\\n%{http_code}", *arguments,
            f"https://localhost:{self.around.port}{path}",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        body, _, status = output.decode().rpartition("\n")
        return int(status), json.loads(body) if body.startswith("{") else {}


@asynccontextmanager
async def house(folder: Path, auth: str, **changes: str) -> AsyncIterator[House]:
    server, clients = Authority(folder, "ca"), Authority(folder, "clients")
    pair = server.issue("localhost", file="server")
    tls = (
        f"  tls: {{certificate: {pair.certificate}, key: {pair.key},"
        f" client_ca: {clients.file}, client_auth: {auth}}}\n"
    )
    async with world(
        folder, more=CREDENTIALS, more_routes=ROUTES, more_server=tls, **changes
    ) as around:
        yield House(around, server, clients)


async def test_a_program_with_a_certificate(tmp_path: Path) -> None:
    """The app is told its name; which of its names, the config says."""
    async with house(tmp_path, "required") as here:
        own = here.clients.issue("b.svc.example", "spiffe://a.example/reports", file="reports")
        assert 200 == (await here.curl("/api/x", own))[0]
        (seen,) = here.around.app.seen
        assert ["cert:spiffe://a.example/reports"] == seen.values("X-User-Issuer")
        assert ["client-certificate"] == seen.values("X-Auth-Method")


async def test_a_certificate_is_revoked_by_its_name(tmp_path: Path) -> None:
    """At all gateways; one that began to be valid after the revocation is accepted."""
    async with house(tmp_path, "required", admin=ADMIN) as here:
        name = "cert:spiffe://a.example/reports"
        own = here.clients.issue("spiffe://a.example/reports", file="reports")
        other = here.clients.issue("spiffe://a.example/others", file="others")
        assert 200 == (await here.curl("/api/x", own))[0]

        ran = await asyncio.to_thread(
            CliRunner().invoke,
            main,
            ["sessions", "revoke", name, "--config", str(here.around.gateway.config)],
        )

        assert (0, f"{name}: 0 sessions ended\n") == (ran.exit_code, ran.output)
        async with asyncio.timeout(20):
            while (await here.curl("/api/x", own))[0] != 401:
                pass
        status, problem = await here.curl("/api/x", own)
        assert (401, "revoked_certificate") == (status, problem["code"])
        assert 200 == (await here.curl("/public/x", own))[0]
        assert 200 == (await here.curl("/api/x", other))[0]
        assert [] == here.around.magic.logouts
        async with connect(here.around.store.url, 1) as client:
            kept_s = await client.ttl(f"revoked:{name}")
            assert 50 * 365 * 86_400 < kept_s
            await client.set("revoked:cert:spiffe://a.example/others", b"1")
        for _ in range(2):
            assert 200 == (await here.curl("/api/x", other))[0]


async def test_while_the_store_is_away_a_certificate_may_have_been_revoked(
    tmp_path: Path,
) -> None:
    """Within the grace the last answer counts; then 503, and never "not revoked"."""
    async with house(tmp_path, "required", more_session=", grace: 0s") as here:
        own = here.clients.issue("spiffe://a.example/reports", file="reports")
        assert 200 == (await here.curl("/api/x", own))[0]
        here.around.store.kill()
        async with asyncio.timeout(20):
            while (await here.curl("/api/x", own))[0] != 503:
                pass
        status, problem = await here.curl("/api/x", own)
        assert (503, "store_unavailable") == (status, problem["code"])


async def test_names_that_do_not_count(tmp_path: Path) -> None:
    """The connection is open, and that is all."""
    async with house(tmp_path, "required") as here:
        own = here.clients.issue("spiffe://evil.example/reports", file="other")
        status, problem = await here.curl("/api/x", own)
        assert (401, "unauthenticated") == (status, problem["code"])
        assert 200 == (await here.curl("/public/x", own))[0]
        assert 0 == (await here.curl("/public/x", None))[0]


@pytest.mark.parametrize(
    "name",
    [
        "evil,job.svc.example",
        "spiffe://a.example/..%2fx",
        "spiffe://a.example/./a",
        "spiffe://a.example//a",
        "spiffe://a.example/?b#c",
    ],
)
async def test_malformed_names_do_not_count(tmp_path: Path, name: str) -> None:
    """The authority signed them, and a star would match a laxer reading of them."""
    async with house(tmp_path, "required") as here:
        status, problem = await here.curl("/api/x", here.clients.issue(name, file="odd"))
        assert (401, "unauthenticated") == (status, problem["code"])
        both = here.clients.issue(name, "spiffe://a.example/x.1/y_2", file="both")
        assert 200 == (await here.curl("/api/x", both))[0]
        (seen,) = here.around.app.seen
        assert ["cert:spiffe://a.example/x.1/y_2"] == seen.values("X-User-Issuer")


async def test_routes_that_do_not_take_certificates(tmp_path: Path) -> None:
    """Programs get in where a route lists them."""
    async with house(tmp_path, "required") as here:
        own = here.clients.issue("spiffe://a.example/reports", file="reports")
        status, problem = await here.curl("/private", own)
        assert (401, "unauthenticated") == (status, problem["code"])


@pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max=1.2"])
async def test_a_name_that_is_not_utf8_opens_no_connection(tmp_path: Path, version: str) -> None:
    """OpenSSL accepts it. The log has one line for many handshakes, and others go on."""
    async with house(tmp_path, "optional") as here:
        odd = here.clients.issue(file="odd", raw_dns_name=b"\xff\xfe.svc.example")
        more = version.split("=")
        for _ in range(3):
            assert 0 == (await here.curl("/public/x", odd, *more))[0]
        good = here.clients.issue("a.svc.example", file="a")
        assert 200 == (await here.curl("/api/x", good, *more))[0]
        await here.around.gateway.stop()
    assert [
        "connection closed: the client certificate of 127.0.0.1 has a name that is not UTF-8"
    ] == [message for message in here.around.gateway.messages if "connection" in message]
    assert [] == [message for message in here.around.gateway.messages if "failed" in message]


async def test_certificates_that_need_not_be_there(tmp_path: Path) -> None:
    """Browsers have none; one of another authority opens no connection."""
    async with house(tmp_path, "optional") as here:
        assert 200 == (await here.curl("/public/x", None))[0]
        status, problem = await here.curl("/api/x", None)
        assert (401, "unauthenticated") == (status, problem["code"])
        own = here.clients.issue("a.svc.example", file="a")
        assert 200 == (await here.curl("/api/x", own))[0]
        forged = Authority(tmp_path, "strangers").issue("a.svc.example", file="mallory")
        assert 0 == (await here.curl("/api/x", forged))[0]


async def test_a_page_of_another_site(tmp_path: Path) -> None:
    """A browser would send the certificate for it."""
    async with house(tmp_path, "required") as here:
        own = here.clients.issue("a.svc.example", file="a")
        post = ("--data", "x", "--header")
        status, problem = await here.curl("/api/x", own, *post, "Origin: https://evil.example")
        assert (403, "cross_site") == (status, problem["code"])
        assert 200 == (await here.curl("/api/x", own, *post, "X-A: b"))[0]


async def test_behind_a_proxy(tmp_path: Path) -> None:
    """Its certificate authenticates the proxy, not the clients behind it."""
    changes = {"client_ip": "x-forwarded-for", "trusted_proxies": '["127.0.0.0/8"]'}
    async with house(tmp_path, "required", **changes) as here:
        own = here.clients.issue("a.svc.example", file="a")
        for client in ("203.0.113.9", "unknown", "unix:", "127.0.0.1"):
            spoken_for = ("--header", f"X-Forwarded-For: {client}")
            status, problem = await here.curl("/api/x", own, *spoken_for)
            assert (401, "unauthenticated") == (status, problem.get("code")), client
        assert 200 == (await here.curl("/api/x", own))[0]
