"""Explanations agree with the pipeline of live requests, and leave no trace in the store."""

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, cast

import pytest

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.core.errors import PROBLEM_TYPES, Refusal
from gateway.core.identity import AuthMethod, Identity
from gateway.core.problem import problem_of
from gateway.core.record import RequestRecord
from gateway.core.request import Reply
from gateway.explain.head import read_head
from gateway.explain.question import Question, head_bytes
from gateway.explain.trace import Explanation, StageVerdict
from gateway.explain.written import field_report
from gateway.routing.client_address import client_at, parse_address
from gateway.runtime.active_config import ActiveConfig, activate
from gateway.runtime.explanation import explanation
from gateway.runtime.process import ProcessServices
from gateway.runtime.services.credentials.api_key import api_key_store
from gateway.runtime.services.identity import identity_services
from gateway.runtime.services.process import process_services
from gateway.telemetry.tracing import Traces
from tests.fakes import servers
from tests.fakes.services import INHERITED

START = """
server: {{listen: ["127.0.0.1:0"], public_url: http://localhost, {server}}}
redis: {{url: "{redis}", timeout: 5s}}
magic: {{mode: development}}
admin: null
upstreams:
  app: {{servers: ["http://127.0.0.1:9", "http://127.0.0.1:10"], balance: by-issuer}}
  other: {{servers: ["http://127.0.0.1:11"], host: rewrite, headers: {{pass: [CF-Connecting-IP]}}}}
"""

RULES = """
identity:
  roles_from_store: true
  roles: [{role: admin, emails: [ada@example.com]}, {role: staff, domains: [example.com]}]
  permissions: {admin: [delete], staff: [read]}
limits: {default: {rate: 40/hour}, tight: {rate: 6/hour}, shadow: {rate: 3/hour, mode: shadow}}
routes:
  - {name: public, match: {path: "/public/*"}, auth: none, limits: [tight], upstream: app}
  - {name: admin, match: {path: "/admin/*"}, upstream: app, allow: [{roles: [admin]}]}
  - {name: delete, match: {path: "/items/*", methods: [DELETE]}, upstream: app,
     allow: [{permissions: [delete]}]}
  - {name: items, match: {path: "/items/*", methods: [GET, POST]}, upstream: other,
     deny: [{emails: [eve@example.com]}], allow: [{auth_methods: [session]}, {roles: [staff]}]}
  - {name: inside, match: {path: "/inside/*"}, auth: optional, upstream: app,
     allow: [{networks: [10.0.0.0/8]}]}
  - {name: rest, match: {path: "/*"}, auth: optional, upstream: app, limits: [default, shadow]}
"""

HOSTS = """
limits: {each: {rate: 5/hour, per: [issuer]}, pair: {rate: 9/hour, per: [ip, "header:X-Tenant"]}}
identity: {assertion: {header: X-Assertion}}
routes:
  - {name: api, match: {host: api.example.com, path: "/*"}, upstream: app, limits: [each]}
  - {name: wild, match: {host: "*.example.com", path: "/app/*"}, auth: optional, upstream: other,
     limits: [pair], strip_prefix: /app}
  - name: shared
    match: {path: "/items/*"}
    upstream: app
    cors: {origins: ["https://shop.example.com"], credentials: true}
  - {name: whole, match: {path: "/public/x"}, auth: none, upstream: app, encoded_slashes: keep}
  - {name: sockets, match: {path: "/admin/*"}, upstream: app, upgrades: [websocket]}
  - {name: asked, match: {path: "/inside/*"}}
"""

KEYS = """
credentials: {api_keys: {header: X-API-Key}}
limits:
  default: {rate: 60/hour, algorithm: token-bucket, burst: 25}
  at-once: {concurrent: 2}
  fixed: {rate: 9/hour, algorithm: fixed-window}
routes:
  - {name: programs, match: {path: "/items/*"}, accept: [api-key], upstream: app,
     allow: [{scopes: [items]}], limits: [fixed, at-once]}
  - {name: both, match: {path: "/admin/*"}, accept: [api-key, session], upstream: app}
  - {name: tokens, match: {path: "/public/*"}, accept: [did-token], upstream: other,
     forward_credentials: true}
  - {name: never, match: {path: "/inside/*"}, upstream: app, deny: [{methods: [POST]}]}
"""

CONFIGS = {
    "rules": ("client_ip: peer", RULES),
    "rules-behind-a-proxy": (
        "client_ip: x-forwarded-for, trusted_proxies: [10.0.0.0/8], via: false",
        RULES,
    ),
    "hosts": ("client_ip: forwarded, trusted_proxies: [10.0.0.0/8]", HOSTS),
    "keys": ("client_ip: peer, rate_limit_headers: always", KEYS),
}

TARGETS = (
    *("/", "/public/x", "/public/%78?q=1", "/admin", "/admin/users", "/items/1", "/items/1?a=b"),
    *("/inside/y", "/app/z", "/app", "/_gateway/login", "/_gateway/session", "/_gateway/nothing"),
)
ODD_TARGETS = (
    *("/%2e%2e/admin", "/public/..;/admin", "/admin;x/users", "/public%2fx", "//admin", "/a b"),
    *("/admin%00", "/public/%61dmin", "*", "/_gateway/verify", "http://localhost/items/1"),
)
METHODS = ("GET", "GET", "GET", "GET", "POST", "POST", "DELETE", "HEAD")
ODD_METHODS = ("OPTIONS", "TRACE", "BREW", "CONNECT")
HOST_FIELDS = ("localhost", "localhost", "api.example.com", "a.example.com", "API.example.com.")
ODD_HOSTS = ("a b", "", "localhost:99999")
PEERS = ("127.0.0.1", "10.0.0.1", "10.1.2.3", "203.0.113.9", "198.51.100.7", "2001:db8::1")
OTHERS = (
    ("Origin", "http://localhost"),
    ("Origin", "https://shop.example.com"),
    ("Origin", "https://evil.example"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Accept", "text/html"),
    ("X-Forwarded-For", "198.51.100.1"),
    ("X-Forwarded-For", "198.51.100.1, 10.9.9.9, 10.0.0.7"),
    ("X-Forwarded-For", "nonsense"),
    ("X-Forwarded-Proto", "https"),
    ("Forwarded", "for=198.51.100.2;proto=https, for=10.0.0.9"),
    ("X-User-Issuer", "did:ethr:0x0"),
    ("X_User_Email", "root@example.com"),
    ("X-Tenant", "a"),
    ("X-Tenant", "b"),
    ("CF-Connecting-IP", "1.1.1.1"),
    ("Connection", "close, X-Tenant"),
    ("Content-Length", "0"),
    ("Cookie", "theme=dark"),
    ("Cookie", "session=dead; theme=dark"),
    ("Authorization", "Bearer nonsense"),
    ("Authorization", "Basic eA=="),
    ("Authorization", "Bearer"),
)

ODD_FIELDS = (
    ("Expect", "nothing"),
    ("Upgrade", "h2c"),
    ("Connection", "Upgrade"),
    ("Host", "localhost"),
    ("X-Original-Method", "GET"),
    ("Access-Control-Request-Method", "GET"),
)
WEBSOCKET = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)

TRIALS = 500
"""Of each config: 2000 in all."""


class Trial(NamedTuple):
    """A gateway without sockets: what serves live requests, and what explains them."""

    settings: Settings
    process: ProcessServices
    active: ActiveConfig
    credentials: tuple[tuple[str, str], ...]
    """Field lines that authenticate."""

    async def explain(self, question: Question) -> Explanation:
        """Explain a request."""
        serving = self.active.serving
        return await explanation(
            self.settings, self.process, serving.upstreams, question, self.active.lists
        )


@pytest.fixture(scope="module")
def store_url() -> Iterator[str]:
    with servers.valkey() as server:
        yield server.url


@asynccontextmanager
async def trial(url: str, server: str, more: str, prefix: str = "") -> AsyncIterator[Trial]:
    """A config that serves, with three people and a program that may sign in."""
    text = START.format(server=server, redis=url) + more
    settings = parse(text.replace("timeout: 5s", f"timeout: 5s, prefix: '{prefix}'"), "f", {}, str)
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(process_services(settings, INHERITED, url))
        active = await stack.enter_async_context(activate(settings, process))
        credentials = await _credentials(settings, process, stack)
        yield Trial(settings, process, active, credentials)


async def _credentials(
    settings: Settings, process: ProcessServices, stack: AsyncExitStack
) -> tuple[tuple[str, str], ...]:
    magic, now_s = process.magic.development, time.time()
    assert magic is not None
    found = []
    identity = identity_services(settings, process, stack)
    for name in ("ada", "bob", "eve"):
        token = magic.mint(f"{name}@example.com", 900, now_s)
        found.append(("Authorization", f"Bearer {token}"))
        user = magic.user_with(f"{name}@example.com")
        proof = Identity(user, AuthMethod.DID_TOKEN, secrets.token_hex(8), int(now_s + 900) * 1000)
        secret, _ = await identity.sessions.create(proof)
        found.append(("Cookie", f"session={secret}; theme=dark"))
    if settings.credentials.api_keys is not None:
        keys = api_key_store(process.store, identity.server_keys)
        for scopes in (["items"], ["other"]):
            text, _ = await keys.create("ci", "service:ci", lifetime_s=900, scopes=scopes)
            found += [("X-API-Key", text), ("Authorization", f"Bearer {text}")]
    return tuple(found)


def random_question(random: Random, credentials: tuple[tuple[str, str], ...]) -> Question:
    """A request as browsers, programs and attackers send it."""
    fields = random.sample(OTHERS, random.choice((0, 0, 1, 1, 2, 3)))
    if random.random() < 0.7:
        fields += random.sample(credentials, random.choice((1, 1, 1, 1, 2)))
    if random.random() < 0.1:
        fields.append(random.choice(ODD_FIELDS))
    if random.random() < 0.5:
        hosts = ODD_HOSTS if random.random() < 0.05 else HOST_FIELDS
        fields.insert(0, ("Host", random.choice(hosts)))
    random.shuffle(fields)
    method = random.choice(ODD_METHODS if random.random() < 0.1 else METHODS)
    target = random.choice(ODD_TARGETS if random.random() < 0.15 else TARGETS)
    peer = random.choice(PEERS)
    match random.randrange(20):
        case 0:
            fields += [("Access-Control-Request-Method", method), OTHERS[random.randrange(3)]]
            method = "OPTIONS"
        case 1:
            fields += [("X-Original-Method", method), ("X-Original-URI", target)]
            fields.append(("X-Original-Host", "localhost"))
            method, target, peer = "GET", "/_gateway/verify", "10.0.0.1"
        case 2:
            fields += WEBSOCKET
            method = "GET"
    return Question(method, target, tuple(fields), peer)


async def live(trial: Trial, question: Question) -> tuple[Any, ...]:
    """What the pipeline of live requests makes of it; charges and leases included."""
    serving, record = trial.active.serving, RequestRecord()
    data = head_bytes(question, trial.settings.server.public_url)
    peer = client_at(parse_address(question.peer))
    try:
        head = await read_head(data, peer, trial.active.limits, serving.max_body_bytes)
        admitted = await serving.admit(head, record)
    except Refusal as refusal:
        kind = PROBLEM_TYPES[type(refusal)]
        status = problem_of(refusal).status
        return record.route or None, "refused", status, kind.code, str(refusal.reason), None
    if isinstance(admitted, Reply):
        names = [name for name, _ in admitted.fields]
        return record.route, "answered", admitted.status, "", "", names
    for ended in record.on_end:
        ended()
    sent = field_report(head.lines, admitted.fields, {"x-assertion", "x-api-key"})._asdict()
    return record.route, "admitted", None, "", "", _without_id(sent)


def explained(found: Explanation) -> tuple[Any, ...]:
    """The same of an explanation."""
    sent: Any = None
    if found.verdict is StageVerdict.ADMITTED:
        [sent] = [each.details for each in found.stages if each.stage == "fields"]
        sent = _without_id(dict(sent))
    if found.verdict is StageVerdict.ANSWERED:
        [sent] = [each.details["fields"] for each in found.stages if each.stage == "answer"]
    return found.route, found.verdict.value, found.status, found.code, found.reason, sent


def _without_id(sent: dict[str, Any]) -> dict[str, Any]:
    """What was sent, without the id that each request gets anew."""
    return {**sent, "written": [pair for pair in sent["written"] if pair[0] != "X-Request-Id"]}


@pytest.mark.parametrize("name", CONFIGS)
async def test_explanations_agree_with_the_live_pipeline(store_url: str, name: str) -> None:
    """The same route, verdict, status, reason and fields, over 2000 random requests."""
    server, more = CONFIGS[name]
    random, verdicts = Random(name), set()
    async with trial(store_url, server, more, f"{name}:") as each:
        for _ in range(TRIALS):
            question = random_question(random, each.credentials)
            said = explained(await each.explain(question))
            assert await live(each, question) == said, question
            verdicts.add(said[2:4])
    assert {None, 400, 401, 403, 429} <= {status for status, _ in verdicts}


# --- what else an explanation tells ------------------------------------------------------------


FAILING = """
credentials: {api_keys: {}}
limits:
  failures: {rate: 3/hour}
  near: {rate: 500/hour, approximate: true}
  own: {rate: 2/hour, overrides: true}
routes:
  - {name: near, match: {path: "/near"}, auth: none, upstream: app, limits: [near]}
  - {name: own, match: {path: "/own"}, auth: none, upstream: app, limits: [own]}
  - {name: all, match: {path: "/*"}, accept: [api-key, session], upstream: app}
"""

DENYING = """
limits: {{listed: {{rate: 500/hour, deny: [{{file: "{file}"}}]}}}}
routes:
  - {{name: all, match: {{path: "/*"}}, auth: none, upstream: app, limits: [listed]}}
"""


def stage(found: Explanation, name: str) -> dict[str, Any]:
    """The details of one stage."""
    [details] = [each.details for each in found.stages if each.stage == name]
    return details


async def test_a_client_that_has_failed_too_often_is_told_so(store_url: str) -> None:
    """By what all gateways have counted; the explanation of a failure counts none."""
    bad = Question("GET", "/x", (("Authorization", "Bearer gwk_x"),))
    async with trial(store_url, "client_ip: peer", FAILING, "failing:") as each:
        good = Question("GET", "/x", (each.credentials[-1],))
        for _ in range(5):
            assert "invalid" in (await each.explain(bad)).code
        assert StageVerdict.ADMITTED is (await each.explain(good)).verdict
        for _ in range(4):
            await live(each, bad)
        found = await each.explain(good)
        assert (429, "limit failures") == (found.status, found.reason)
        assert ["a credential that a gateway has verified a moment ago still passes"] == [
            *found.notes
        ]


async def test_lists_are_those_of_the_gateway(store_url: str, tmp_path: Path) -> None:
    """A file that went away meanwhile changes nothing, here as there."""
    file = tmp_path / "deny.txt"
    file.write_text("192.0.2.1\n")
    more = DENYING.format(file=file)
    async with trial(store_url, "client_ip: peer", more, "lists:") as each:
        for _ in range(2):
            for peer, status in (("192.0.2.1", 403), ("192.0.2.2", None)):
                question = Question("GET", "/x", peer=peer)
                found = await each.explain(question)
                assert status == found.status
                assert await live(each, question) == explained(found)
            file.unlink(missing_ok=True)


async def test_fields_of_traces_are_replaced_where_there_are_traces(store_url: str) -> None:
    """As they are for live requests: the gateway writes its own."""
    question = Question("GET", "/own", (("traceparent", "00-1-1-01"),))
    async with trial(store_url, "client_ip: peer", FAILING, "traces:") as each:
        kept = await each.explain(question)
        process = each.process._replace(traces=cast("Traces", object()))
        dropped = await each._replace(process=process).explain(question)
    assert ["traceparent"] == stage(dropped, "fields")["dropped"]
    assert [] == stage(kept, "fields")["dropped"]


async def test_an_approximate_limit_is_told_as_such(store_url: str) -> None:
    """Gateways count ahead of what they tell."""
    async with trial(store_url, "client_ip: peer", FAILING, "near:") as each:
        found = await each.explain(Question("GET", "/near"))
        assert 499 == stage(found, "limits")["limits"][0]["remaining"]
        [note] = found.notes
        assert note.startswith("limit near is approximate")
        assert () == (await each.explain(Question("GET", "/own"))).notes


async def test_a_rate_of_its_own_counts_a_caller(store_url: str) -> None:
    """As it does for live requests."""
    async with trial(store_url, "client_ip: peer", FAILING, "own:") as each:
        ends_at_ms = int(time.time() + 60) * 1000
        key = "limit-override:own:127.0.0.1"
        await each.process.store.set(key, b"7/hour", expires_at_ms=ends_at_ms)
        [limit] = stage(await each.explain(Question("GET", "/own")), "limits")["limits"]
        assert (7, 6) == (limit["rate"], limit["remaining"])


async def test_an_assumed_caller_passes_the_stages(store_url: str) -> None:
    """A person by a session, a program by its key."""
    async with trial(store_url, "client_ip: peer", FAILING, "as:") as each:
        for name, kind in (("service:ci", "api-key"), ("ada@example.com", "session")):
            found = await each.explain(Question("GET", "/x", name=name))
            assert (StageVerdict.ADMITTED, kind) == (
                found.verdict,
                stage(found, "credentials")["identity"]["by"],
            )


async def test_an_upstream_that_takes_no_request_is_told(store_url: str) -> None:
    """With the status that the client would get; and the server that is next, where it does."""
    async with trial(store_url, "client_ip: peer", FAILING, "upstream:") as each:
        question = Question("GET", "/near")
        found = stage(await each.explain(question), "upstream")
        assert ("app", {"http://127.0.0.1:9": True, "http://127.0.0.1:10": True}) == (
            *(found["upstream"], found["servers"]),
        )
        app = each.active.serving.upstreams["app"]
        app._max_in_flight = 0
        refused = await each.explain(question)
        assert (503, "upstream_busy", "near") == (refused.status, refused.code, refused.route)


@pytest.mark.parametrize(
    ("peer", "url", "expected"),
    [
        pytest.param("unix:", "/x", "unix:", id="unix"),
        pytest.param("::ffff:203.0.113.9", "/x", "203.0.113.9", id="mapped"),
    ],
)
async def test_the_peer_is_read(store_url: str, peer: str, url: str, expected: str) -> None:
    """As connections have it."""
    async with trial(store_url, "client_ip: peer", FAILING, "peer:") as each:
        found = await each.explain(Question("GET", url, peer=peer))
        assert expected == stage(found, "client")["client"]
        with pytest.raises(ValueError, match="the peer: expected an IP address, or unix:"):
            await each.explain(Question("GET", url, peer="here"))


async def test_a_fragment_is_refused_and_told(store_url: str) -> None:
    """A URL that is copied from a browser may have one, and no request of a browser has it."""
    async with trial(store_url, "client_ip: peer", FAILING, "peer:") as each:
        found = await each.explain(Question("GET", "/own#part"))
        assert ("bad_target", 1) == (found.code, len(found.notes))
        assert "begins with #" in found.notes[0]
        assert () == (await each.explain(Question("GET", "/own"))).notes


async def test_a_preflight_is_answered_as_it_is_live(store_url: str) -> None:
    """By the route of the method that it asks about."""
    fields = (("Origin", "https://shop.example.com"), ("Access-Control-Request-Method", "GET"))
    question = Question("OPTIONS", "/items/1", fields)
    async with trial(store_url, *CONFIGS["hosts"], "preflight:") as each:
        found = await each.explain(question)
        assert (StageVerdict.ANSWERED, 204, "shared") == (
            *(found.verdict, found.status, found.route),
        )
        assert await live(each, question) == explained(found)
