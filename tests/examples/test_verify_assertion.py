"""The verifiers in three languages, each behind a real gateway and beside one that lies."""

import asyncio
import hmac
import os
import shutil
import signal
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from gateway.assertion.token import (
    AssertedRequest,
    AssertionSigner,
    SigningKey,
    binding,
    claims,
    signing_key,
)
from tests.fakes.free_port import free_port
from tests.fakes.http import Answer, fetch
from tests.fakes.keys import PEM, PEM_2, PEM_P256, as_yaml
from tests.fakes.ports import SESSION_IDENTITY
from tests.fakes.process import GatewayProcess, gateway

EXAMPLES = Path(__file__).parents[2] / "examples" / "verify-assertion"
START_S = 60
"""Go compiles first."""
ISSUER = "http://localhost"

CONFIG = """
server: {{listen: ["127.0.0.1:0"], public_url: {issuer}}}
admin: null
redis: {{url: "embedded://"}}
magic: {{mode: development}}
identity:
  roles: [{{role: staff, domains: [example.com]}}]
  assertion: {{bind: {bind}, keys: [{keys}]}}
limits: {{default: {{rate: 1000000/minute}}}}
upstreams: {{shop: {{servers: ["http://127.0.0.1:{port}"]}}}}
routes:
  - {{name: app, match: {{path: "/*"}}, upstream: shop}}
"""


def config(port: int, *pems: str, bind: str = "identity") -> str:
    """A gateway in front of the example, with these keys."""
    keys = ", ".join(map(as_yaml, pems))
    return CONFIG.format(issuer=ISSUER, port=port, keys=keys, bind=bind)


COMMANDS = {
    "python": (sys.executable, "app.py"),
    "node": ("node", "app.js"),
    "go": ("go", "run", "."),
}


@pytest.fixture(params=COMMANDS)
def language(request: pytest.FixtureRequest) -> str:
    """One that is installed here."""
    name = str(request.param)
    if shutil.which(COMMANDS[name][0]) is None:
        pytest.skip(f"needs {name}")
    return name


class Example(NamedTuple):
    """An example behind its gateway."""

    gateway: GatewayProcess
    port: int
    """The port of the example itself, where forged requests can be sent."""
    token: str
    """The field line of a token of an authenticated user."""

    async def get(self, path: str = "/") -> Answer:
        """By way of the gateway."""
        return await fetch(self.gateway.port, "GET", path, self.token)

    async def told(self, assertion: bytes | str, path: str = "/") -> int:
        """The status of a request sent directly, with ``assertion``."""
        text = assertion.decode() if isinstance(assertion, bytes) else assertion
        answer = await fetch(self.port, "GET", path, f"X-Gateway-Assertion: {text}")
        return answer.status


@asynccontextmanager
async def example(
    language: str, folder: Path, *pems: str, bind: str = "identity"
) -> AsyncIterator[Example]:
    """It reads its keys where the gateway publishes them."""
    port = free_port()
    async with gateway(config(port, *pems, bind=bind), folder) as running:
        process = await asyncio.create_subprocess_exec(
            *COMMANDS[language],
            cwd=EXAMPLES / language,
            env={
                **os.environ,
                "PORT": str(port),
                "ISSUER": ISSUER,
                "AUDIENCE": "shop",
                "JWKS_URL": f"{running.url}/_gateway/jwks.json",
            },
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_S):
                while not await _listens(port):
                    assert process.returncode is None, "the example ended by itself"
                    await asyncio.sleep(0.05)
            page = "/_gateway/development/token?email=ada@example.com"
            token = (await fetch(running.port, "POST", page)).body.decode().strip()
            yield Example(running, port, f"Authorization: Bearer {token}")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def signed(key: SigningKey, **changes: Any) -> bytes:
    """What a gateway with ``key`` would say now, but for ``changes``."""
    identity = replace(SESSION_IDENTITY, expires_at_ms=2**50)
    said = claims(identity, issuer=ISSUER, audience="shop", now_s=time.time(), lifetime_s=60.0)
    return AssertionSigner(key).sign({**said, **changes})


def _headed(key: SigningKey, algorithm: str) -> bytes:
    """What is signed, under a header that names another algorithm."""
    header = orjson.dumps({"alg": algorithm, "kid": key.key_id, "typ": "JWT"})
    return urlsafe_b64encode(header).rstrip(b"=") + b"." + signed(key).split(b".")[1]


def _unsigned(key: SigningKey) -> bytes:
    return _headed(key, "none") + b"."


def _by_its_public_key(key: SigningKey) -> bytes:
    """HMAC, with the published key as its secret: an old trick on verifiers that believe alg."""
    message = _headed(key, "HS256")
    secret = orjson.dumps(key.key.as_dict(private=False))
    return message + b"." + urlsafe_b64encode(hmac.digest(secret, message, "sha256")).rstrip(b"=")


def _by_another_key(key: SigningKey) -> bytes:
    return signed(signing_key(PEM_2)._replace(key_id=key.key_id))


LIES: dict[str, Callable[[SigningKey], bytes | str]] = {
    "nothing": lambda _: "",
    "no-jwt": lambda _: "a.b",
    "junk": lambda _: "a.b.c",
    "none": _unsigned,
    "hmac": _by_its_public_key,
    "another-key": _by_another_key,
    "unknown-key": lambda _: signed(signing_key(PEM_2)),
    "another-algorithm": lambda key: signed(
        signing_key(PEM if key.algorithm == "ES256" else PEM_P256)._replace(key_id=key.key_id)
    ),
    "cut": lambda key: signed(key)[:-4],
    "expired": lambda key: signed(key, exp=int(time.time()) - 10),
    "from-the-future": lambda key: signed(key, iat=int(time.time()) + 60),
    "another-app": lambda key: signed(key, aud="billing"),
    "another-gateway": lambda key: signed(key, iss="https://evil.example"),
    "no-end": lambda key: signed(key, exp=None),
    "no-subject": lambda key: signed(key, sub=None),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pem", [PEM, PEM_P256], ids=["EdDSA", "ES256"])
async def test_only_what_the_gateway_says_is_believed(
    language: str, pem: str, tmp_path: Path
) -> None:
    """Requests through the gateway are authenticated; forged assertions are refused."""
    async with example(language, tmp_path, pem) as app:
        answer = await app.get("/")
        assert 200 == answer.status, answer.body
        said = answer.json()
        assert ("ada@example.com", ["staff"]) == (said["email"], said["roles"])
        assert (ISSUER, "shop", 60) == (said["iss"], said["aud"], said["exp"] - said["iat"])
        me = (await fetch(app.gateway.port, "GET", "/_gateway/session", app.token)).json()
        assert me["issuer"] == said["sub"]

        key = signing_key(pem)
        assert 200 == await app.told(signed(key))
        outcomes = {name: await app.told(lie(key)) for name, lie in LIES.items()}
        assert outcomes == dict.fromkeys(LIES, 401)


@pytest.mark.timeout(120)
async def test_one_for_another_request_is_refused(language: str, tmp_path: Path) -> None:
    """With ``bind: request``, an assertion that was overheard is good for nothing else."""
    async with example(language, tmp_path, PEM, bind="request") as app:
        for path in ("/", "/a%20b?x=1&y=%2F", "/x?"):
            answer = await app.get(path)
            assert 200 == answer.status, answer.body
        bound = binding(AssertedRequest("GET", "shop.example.com", "/a", "x=1"), "id-1")
        overheard = signed(signing_key(PEM), **bound)
        told = {path: await app.told(overheard, path) for path in ("/a?x=1", "/b?x=1", "/a?x=2")}
        assert {"/a?x=1": 200, "/b?x=1": 401, "/a?x=2": 401} == told


@pytest.mark.timeout(120)
async def test_keys_are_rotated_without_a_failed_verification(
    language: str, tmp_path: Path
) -> None:
    """The new key is published, then it signs, then the old one goes: every request is known."""
    old, new = signing_key(PEM).key_id, signing_key(PEM_2).key_id
    async with example(language, tmp_path, PEM) as app:
        answers: list[int] = []

        async def published() -> list[str]:
            answer = await fetch(app.gateway.port, "GET", "/_gateway/jwks.json")
            assert "public, max-age=60" == answer.value("Cache-Control")
            return [key["kid"] for key in answer.json()["keys"]]

        for pems, expected in (
            ((PEM,), [old]),
            ((PEM, PEM_2), [old, new]),
            ((PEM_2, PEM), [new, old]),
            ((PEM_2,), [new]),
        ):
            app.gateway.config.write_text(config(app.port, *pems))
            app.gateway.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(20):
                while await published() != expected:
                    answers.append((await app.get()).status)
            since_s, before = time.monotonic(), len(answers)
            # Longer than the example's cooldown, and often.
            while time.monotonic() - since_s < 1.2 or len(answers) - before < 15:
                answers.append((await app.get()).status)
        assert {200} == set(answers)
        assert 50 < len(answers)
