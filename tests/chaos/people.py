"""
People who use an app through a gateway while its store fails, and what became of their requests.

Most have a session, some send a new DID token each time, and a few sign in again and again. Each
asks as often as PAUSE_S says, whatever happens. Each answer of the app repeats the issuer that the
gateway told it: it has to be the one who asked.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import NamedTuple

from gateway.authn.did_token.mint import TokenSigner, signer
from tests.fakes.http import RawClient, connected
from tests.fakes.magic import FakeMagic
from tests.fakes.tokens import minted
from tests.fakes.upstream import Seen

WITH_SESSIONS, WITH_TOKENS, SIGNING_IN = 40, 8, 2
PEOPLE = WITH_SESSIONS + WITH_TOKENS + SIGNING_IN
PAUSE_S = 0.1
"""Between the requests of one person: ten a second each, 500 of all."""
ANSWER_S = 10.0
"""Longest wait for an answer; later than any deadline of the gateway."""
PATH = "/chaos"
LIFETIME_S = 3600.0
CALM_S = 1.0
"""After so long without a failure, the gateway has recovered."""
_AGAIN_S = 20.0


async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer with the issuer that the gateway told the app."""
    issuer = ",".join(seen.values("X-User-Issuer")).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(issuer), issuer))
    await writer.drain()


class Outcome(NamedTuple):
    """The answer to one request."""

    at_s: float
    """When it came, by the monotonic clock."""
    took_s: float
    status: int
    """0 where none came."""


@dataclass
class Tally:
    """What became of all requests."""

    outcomes: list[Outcome] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    """Answers that were another's."""
    logged_out: dict[str, str] = field(default_factory=dict)
    """Credentials that were answered with 401, a login page or a new cookie, and the answers."""

    def since(self, began_s: float) -> list[Outcome]:
        """Return what came from ``began_s`` on."""
        return [outcome for outcome in self.outcomes if began_s <= outcome.at_s]

    def statuses(self, began_s: float) -> Counter[int]:
        """Count the answers since then by status."""
        return Counter(outcome.status for outcome in self.since(began_s))

    def recovered_s(self, healed_s: float) -> float:
        """Seconds from ``healed_s`` until `CALM_S` without a failure began."""
        last_s = healed_s
        for outcome in self.since(healed_s):
            if outcome.at_s - last_s >= CALM_S:
                break
            if outcome.status != 200:
                last_s = outcome.at_s
        return last_s - healed_s

    def outage_s(self, began_s: float) -> float:
        """Return the longest time without any answer 200, in seconds."""
        good = [outcome.at_s for outcome in self.since(began_s) if outcome.status == 200]
        times = [began_s, *good]
        return max((later - earlier for earlier, later in pairwise(times)), default=inf)


class Person:
    """One of them, with a key of their own."""

    def __init__(self, number: int, ports: list[int], magic: FakeMagic, tally: Tally) -> None:
        self.signer: TokenSigner = signer((number + 1).to_bytes(32, "big"))
        self.port = ports[number % len(ports)]
        self._tally = tally
        magic.add_user(self.signer.issuer, f"person{number}@example.com")

    def bearer(self) -> str:
        """Return the field line of a new token."""
        return f"Authorization: Bearer {minted(time.time(), self.signer, LIFETIME_S)}"

    async def sign_in(self, client: RawClient) -> str | None:
        """Return the field line of a new session's cookie; None where signing in is refused."""
        await client.send(request("POST", "/_gateway/session", self.bearer()))
        answer = await client.answer("POST")
        self._note(answer.status if answer.status != 201 else 200, 0)
        if answer.status != 201:
            return None
        return "Cookie: " + answer.value("Set-Cookie").partition(";")[0]

    async def signed_in(self) -> str:
        """Return the same, again where a machine that is busy refuses it."""
        async with asyncio.timeout(_AGAIN_S):
            while True:
                async with connected(self.port) as client:
                    if (cookie := await self.sign_in(client)) is not None:
                        return cookie
                await asyncio.sleep(PAUSE_S)

    async def ask(self, client: RawClient, credential: str) -> int:
        """Send one request, judge its answer, and return its status."""
        began_s = time.monotonic()
        await client.send(request("GET", PATH, credential))
        answer = await client.answer()
        self._note(answer.status, time.monotonic() - began_s)
        if answer.status == 200 and answer.body.decode() != self.signer.issuer:
            self._tally.foreign.append(f"{self.signer.issuer}: {answer.body!r}")
        if answer.status in (302, 303, 401) or answer.values("Set-Cookie"):
            self._tally.logged_out[credential] = f"{answer.status} {answer.body!r}"
        return answer.status

    async def ask_again(self, credential: str) -> int:
        """Send a request, again while a machine that is busy answers it 503; return its status."""
        until_s = time.monotonic() + _AGAIN_S
        while True:
            async with connected(self.port) as client:
                status = await self.ask(client, credential)
            if status != 503 or time.monotonic() > until_s:
                return status
            await asyncio.sleep(PAUSE_S)  # the gateway asks a store that failed no more for a while

    async def live(self, first: str, kind: str) -> None:
        """Ask until cancelled, on connections that are made again where they break."""
        credential = first
        while True:
            with suppress(OSError, TimeoutError, AssertionError):
                async with connected(self.port) as client:
                    while True:
                        due_s = time.monotonic() + PAUSE_S
                        if kind == "signing in":
                            credential = await self.sign_in(client) or credential
                        elif kind == "token":
                            credential = self.bearer()
                        await self.ask(client, credential)
                        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            self._note(0, 0)
            await asyncio.sleep(PAUSE_S)

    def _note(self, status: int, took_s: float) -> None:
        self._tally.outcomes.append(Outcome(time.monotonic(), took_s, status))


def request(method: str, path: str, *fields: str) -> bytes:
    """Return a request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


class Crowd(NamedTuple):
    """All of them, and their sessions of before the fault."""

    tally: Tally
    cookies: dict[str, Person]

    async def all_are_known(self) -> list[str]:
        """Ask with each session of before the fault; return the answers that are not 200."""
        answers = [
            (person.signer.issuer, await person.ask_again(cookie))
            for cookie, person in self.cookies.items()
        ]
        return [f"{issuer}: {status}" for issuer, status in answers if status != 200]


@asynccontextmanager
async def crowd(ports: list[int], magic: FakeMagic) -> AsyncIterator[Crowd]:
    """People who use the gateways at ``ports`` until the context ends."""
    tally = Tally()
    people = [Person(number, ports, magic, tally) for number in range(PEOPLE)]
    cookies: dict[str, Person] = {}
    for person in people:
        cookies[await person.signed_in()] = person
    kinds = ["session"] * WITH_SESSIONS + ["token"] * WITH_TOKENS + ["signing in"] * SIGNING_IN
    tasks = [
        asyncio.create_task(person.live(cookie, kind))
        for (cookie, person), kind in zip(cookies.items(), kinds, strict=True)
    ]
    kept = dict(list(cookies.items())[:-SIGNING_IN])  # too many sign-ins end the oldest session
    try:
        yield Crowd(tally, kept)
        assert not any(task.done() for task in tasks), [t for t in tasks if t.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
