"""Credentials: whether a forged or stale one makes a caller."""

import time
from typing import Final

from gateway.config.schema import RouteSettings
from gateway.core.identity import AuthMethod
from gateway.core.route import Auth
from gateway.selftest.callers import MEMBER, WantedCaller
from gateway.selftest.corpus.tokens import HOSTILE_TOKENS
from gateway.selftest.trial import ConfigTrial
from gateway.users.development import DEVELOPMENT_AUDIENCE

_BY_THE_CONFIG: Final = frozenset(
    {"lives-a-second-too-long", "issued-beyond-the-skew", "not-before-beyond-the-grace"}
)
"""Cases whose verdict depends on `identity.max_token_lifetime` and `identity.clock_skew`."""
_LONGEST: Final = 6000
_SESSIONS: Final = ("", "x", "0" * 43, "A" * 43, "../../x", "%00", "did:ethr:0x0", '"', "a" * 4000)


async def attack_credentials(trial: ConfigTrial) -> None:
    """Send forged tokens, sessions and JWTs to a protected route that takes them."""
    for method, attack in (
        (AuthMethod.DID_TOKEN, _tokens),
        (AuthMethod.SESSION, _sessions),
        (AuthMethod.JWT, _jwts),
        (AuthMethod.API_KEY, _api_keys),
    ):
        route = next(
            (
                route
                for route in trial.forwarding
                if route.auth is not Auth.NONE and method in route.accept
            ),
            None,
        )
        if route is not None:
            await attack(trial, route)


async def _tokens(trial: ConfigTrial, route: RouteSettings) -> None:
    trial.lab.mint(MEMBER)
    signer = trial.lab.magic._signer(MEMBER)  # noqa: SLF001 (forged for a user who exists)
    now_s = time.time()
    for case in HOSTILE_TOKENS:
        if case.id in _BY_THE_CONFIG:
            continue
        token = case.forge(now_s, DEVELOPMENT_AUDIENCE, signer)
        if len(token) < _LONGEST and token == token.strip(" \t"):  # a field has no such ends
            await _expect_refusal(trial, route, f"Authorization: Bearer {token}", case.id)


async def _sessions(trial: ConfigTrial, route: RouteSettings) -> None:
    name = trial.settings.session.cookie
    for value in _SESSIONS:
        await _expect_refusal(trial, route, f"Cookie: {name}={value}", "session")
    whole = (await trial.callers.cookie(MEMBER)).lines[0]
    altered = whole[:-1] + ("A" if whole[-1] != "A" else "B")
    await _expect_refusal(trial, route, altered, "session-altered")


async def _jwts(trial: ConfigTrial, route: RouteSettings) -> None:
    for place, _ in enumerate(trial.settings.credentials.jwt):
        good = trial.callers.jwt(place, {}).lines[0]
        header, payload, _ = good.rsplit(".", 2)
        none = "eyJhbGciOiJub25lIn0"
        await _expect_refusal(trial, route, f"Authorization: Bearer {none}.{payload}.", "jwt-none")
        await _expect_refusal(trial, route, f"{header}.{payload}.AAAA", "jwt-signature")
        late = trial.callers.jwt(place, {"exp": int(time.time()) - 3600}).lines[0]
        await _expect_refusal(trial, route, late, "jwt-expired")


async def _api_keys(trial: ConfigTrial, route: RouteSettings) -> None:
    wanted = WantedCaller(kinds=frozenset({AuthMethod.API_KEY}))
    for good in await trial.callers.all_of(wanted):
        (line,) = good.lines
        for place in (-1, -20, -50):
            letter = "A" if line[place] != "A" else "B"
            altered = line[:place] + letter + (line[place + 1 :] if place != -1 else "")
            await _expect_refusal(trial, route, altered, "api-key-altered")


async def _expect_refusal(trial: ConfigTrial, route: RouteSettings, line: str, case: str) -> None:
    done = await trial.ask(route, line)
    for arrived in done.arrived:
        if not trial.is_anonymous(arrived):
            message = f"a forged credential is believed: case {case}"
            trial.found("credential-forged", route.name, message, done, arrived)
