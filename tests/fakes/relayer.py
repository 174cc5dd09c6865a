"""
Magic's relayer: the frame that the SDK talks to, as a real server that a real browser loads.

It speaks the protocol of magic-sdk 33 (`postMessage` of JSON-RPC, see `PAGE`) and mints real
tokens. Who is logged in is kept here and not in cookies, as there is one browser for each relayer.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.authn.did_token.mint import TokenSigner, signer
from tests.fakes.tokens import attached

CODE = "123456"
"""The one-time code of every email."""
LINK_EXPIRED, LINK_FAILED, ALREADY_LOGGED_IN, DENIED = -10001, -10000, -10003, -10011
REDIRECTED, CANCELLED, TOO_MANY_CODES, THROTTLED = -10015, -10014, -10031, -10035

PAGE = """<!doctype html><title>relayer</title><script>
const params = new URLSearchParams(location.search).get("params");
const post = (type, response) => parent.postMessage({msgType: `${type}-${params}`, response}, "*");
const page = crypto.randomUUID();
const answered = async (payload) => {
  const answer = await fetch("/rpc", {method: "POST", body: JSON.stringify({...payload, page})});
  const said = await answer.json();
  for (const event of said.events ?? [])
    post("MAGIC_HANDLE_EVENT", {jsonrpc: "2.0", id: event.id, result: {event: event.name}});
  return said;
};
addEventListener("message", async ({data}) => {
  if (!data.msgType?.startsWith("MAGIC_HANDLE_REQUEST")) return;
  const {id} = data.payload;
  let said = await answered(data.payload);
  while (said.pending) said = await answered({id, method: "more", params: []});
  post("MAGIC_HANDLE_RESPONSE", {jsonrpc: "2.0", id, result: said.result, error: said.error});
});
if (IS_UP) post("MAGIC_OVERLAY_READY");
</script>"""

Said = dict[str, Any]


@dataclass(slots=True)
class Email:
    """What Magic sent: a code, or a link."""

    to: str
    link: str = ""


@dataclass(slots=True)
class _Flow:
    """A request of the SDK that lasts until the user opens the email."""

    said: asyncio.Queue[Said] = field(default_factory=asyncio.Queue)
    email: str = ""
    lifespan: int = 900
    wrong: int = 0


class FakeRelayer:
    """Behaves unless told otherwise by its attributes."""

    def __init__(self, learn: Callable[[TokenSigner, str], None]) -> None:
        """``learn`` is told of every user, as Magic's admin API would know them."""
        self._learn = learn
        self.is_ready = True
        """False: the frame never says that it is there."""
        self.is_expired = False
        """Links and codes are too old."""
        self.error = 0
        """The code with which every login fails."""
        self.max_wrong_codes = 3
        self.who = ""
        """The email address of the user who is logged in with Magic."""
        self.emails: list[Email] = []
        self.calls: list[tuple[str, list[Any]]] = []
        self.parameters: list[dict[str, Any]] = []
        """With which the SDK has opened the frame."""
        self._flows: dict[str, _Flow] = {}
        self._credentials: dict[str, str] = {}

    def signer(self, email: str) -> TokenSigner:
        """The key that Magic keeps for ``email``."""
        return signer(email.encode().rjust(32, b"\1")[:32])

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its origin, for as long as it runs."""
        app = web.Application()
        app.router.add_get("/send", self._page)
        app.router.add_post("/rpc", self._rpc)
        async with TestServer(app) as server:
            yield f"http://127.0.0.1:{server.port}"

    async def link(self) -> str:
        """The link in the latest email, once there is one."""
        async with asyncio.timeout(20):
            while not self.emails or not self.emails[-1].link:
                await asyncio.sleep(0.01)
        return self.emails[-1].link

    async def _page(self, request: web.Request) -> web.Response:
        self.parameters.append(json.loads(base64.b64decode(request.query["params"])))
        page = PAGE.replace("IS_UP", "true" if self.is_ready else "false")
        return web.Response(text=page, content_type="text/html")

    async def _rpc(self, request: web.Request) -> web.Response:
        payload = await request.json()
        method, params = payload["method"], payload["params"]
        key = f"{payload['page']} {payload['id']}"
        if method == "more":
            return web.json_response(await self._flows[key].said.get())
        self.calls.append((method, params))
        handle = getattr(self, f"_{method}", None)
        if handle is None:
            return web.json_response(_error(-32601))
        return web.json_response(handle(key, *params))

    # --- logging in ----------------------------------------------------------------------------

    def _magic_auth_login_with_email_otp(self, key: str, asked: Said) -> Said:
        return self._begin(key, asked["email"], "email-otp-sent", asked["lifespan"])

    def _magic_auth_login_with_sms(self, key: str, asked: Said) -> Said:
        return self._begin(key, asked["phoneNumber"], "sms-otp-sent", asked["lifespan"])

    def _magic_auth_login_with_magic_link(self, key: str, asked: Said) -> Said:
        said = self._begin(key, asked["email"], "email-sent", asked["lifespan"])
        if "error" not in said:
            credential = f"credential-{len(self._credentials)}"
            self._credentials[credential] = key
            query = urlencode({"magic_credential": credential})
            self.emails[-1].link = f"{asked['redirectURI']}?{query}"
        return said

    def _begin(self, key: str, to: str, event: str, lifespan: int) -> Said:
        if self.error:
            return _error(self.error)
        if self.who:
            return _error(ALREADY_LOGGED_IN)
        self._flows[key] = _Flow(email=to, lifespan=lifespan)
        self.emails.append(Email(to))
        return _pending(key, event)

    def _magic_intermediary_event(self, key: str, said: Said) -> Said:
        """What the page says of a login that goes on: the code, or that it is called off."""
        key = f"{key.partition(' ')[0]} {said['payloadId']}"
        flow = self._flows[key]
        if said["eventType"] == "cancel":
            flow.said.put_nowait(_error(CANCELLED))
        elif said["eventType"] in ("verify-email-otp", "verify-sms-otp"):
            flow.said.put_nowait(self._judge(flow, key, said["eventType"], said["args"]))
        return {"result": True}

    def _judge(self, flow: _Flow, key: str, event: str, code: str) -> Said:
        kind = event.removeprefix("verify-")
        if self.is_expired:
            return _pending(key, f"expired-{kind}")
        if code == CODE:
            return self._logged_in(flow.email, flow.lifespan)
        flow.wrong += 1
        if flow.wrong >= self.max_wrong_codes:
            return _error(TOO_MANY_CODES)
        return _pending(key, f"invalid-{kind}")

    def _magic_auth_login_with_credential(self, _: str, query: str, lifespan: int = 900) -> Said:
        if self.is_expired:
            return _error(LINK_EXPIRED)
        credential = parse_qs(query.removeprefix("?"))["magic_credential"][0]
        key = self._credentials.pop(credential, "")
        if not key:
            return _error(LINK_FAILED)
        flow = self._flows[key]
        said = self._logged_in(flow.email, lifespan)
        flow.said.put_nowait(_error(REDIRECTED))
        return said

    def _logged_in(self, email: str, lifespan: int) -> Said:
        self.who = email
        return self._magic_auth_get_id_token("", {"lifespan": lifespan})

    # --- once logged in ------------------------------------------------------------------------

    def _magic_auth_get_id_token(self, _: str, asked: Said | None = None) -> Said:
        return self._magic_auth_generate_id_token("", asked or {})

    def _magic_auth_generate_id_token(self, _: str, asked: Said) -> Said:
        if not self.who:
            return _error(-32603)
        by = self.signer(self.who)
        self._learn(by, self.who)
        attachment = asked.get("attachment") or "none"
        return {"result": attached(time.time(), by, attachment, asked.get("lifespan") or 900)}

    def _magic_get_info(self, _: str) -> Said:
        return {"result": {"email": self.who or None, "phoneNumber": None}}

    def _magic_is_logged_in(self, _: str) -> Said:
        return {"result": bool(self.who)}

    def _magic_auth_logout(self, _: str) -> Said:
        self.who = ""
        return {"result": True}


def _pending(key: str, event: str) -> Said:
    """The request goes on, and the page hears of ``event``."""
    return {"pending": True, "events": [{"id": int(key.rpartition(" ")[2]), "name": event}]}


def _error(code: int) -> Said:
    return {"error": {"code": code, "message": f"Magic RPC Error: [{code}]"}}
