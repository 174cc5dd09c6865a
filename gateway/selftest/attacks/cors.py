"""CORS: whether a page of another site may act, or read, with the session of its visitor."""

from typing import Final
from urllib.parse import urlsplit

from gateway.config.schema import RouteSettings
from gateway.core.route import Auth
from gateway.selftest.attacks.pages import is_local, is_same_site
from gateway.selftest.callers import MEMBER
from gateway.selftest.lab import Answered, Exchanged
from gateway.selftest.trial import ConfigTrial

_EVIL: Final = "https://evil.selftest.invalid"


async def attack_cors(trial: ConfigTrial) -> None:
    """Ask every route as a page of other origins, of those that it lists too."""
    for route in trial.forwarding:
        listed = route.cors.origins if route.cors is not None else ()
        for origin in (*_foreign(trial), *listed):
            await _ask(trial, route, origin)


def _foreign(trial: ConfigTrial) -> tuple[str, ...]:
    scheme, _, host = trial.settings.server.public_url.partition("://")
    other = "http" if scheme == "https" else "https"
    near = (f"{scheme}://{host}.evil.selftest.invalid", f"{scheme}://evil{host}")
    return (_EVIL, "null", *near, f"{other}://evil.{host}", "https://evil.selftest.invalid:8443")


async def _ask(trial: ConfigTrial, route: RouteSettings, origin: str) -> None:
    asked = "Access-Control-Request-Method: POST"
    plain = await trial.ask(route, f"Origin: {origin}")
    preflight = await trial.ask(route, f"Origin: {origin}", asked, method="OPTIONS")
    for done in (plain, preflight):
        answer = done.answer
        granted = answer.value("Access-Control-Allow-Origin")
        if granted in (origin, "*") and origin != trial.settings.server.public_url:
            _judge(trial, route, origin, answer, done)
    await _act(trial, route, origin)


def _judge(
    trial: ConfigTrial, route: RouteSettings, origin: str, answer: Answered, done: Exchanged
) -> None:
    """Judge what was granted to ``origin``."""
    has_credentials = answer.value("Access-Control-Allow-Credentials") == "true"
    if has_credentials:
        code, message = _with_credentials(trial, origin)
        if code:
            trial.found(code, route.name, message, done)
    elif _is_by_network(route):
        message = "any page can read it by the browser of a visitor inside the network"
        trial.found("cors-opens-network", route.name, message, done)


def _with_credentials(trial: ConfigTrial, origin: str) -> tuple[str, str]:
    """Return the code and message of credentials for ``origin``; empty where they are in order."""
    url = trial.settings.server.public_url
    host, own = urlsplit(origin).hostname or "", urlsplit(url).hostname or ""
    if is_local(origin) and not is_local(url):
        return "cors-local", f"{origin}: any program on the machine of a visitor acts as the user"
    if not is_same_site(host, own):
        return "cors-foreign", f"{origin} is of another site, and acts with the user's credentials"
    if origin.startswith("http:") and url.startswith("https:"):
        return "cors-in-the-clear", f"{origin}: a network attacker alters it and acts as the user"
    return "", ""


def _is_by_network(route: RouteSettings) -> bool:
    """Whether only the network of a client keeps others out."""
    rules = route.allow or ()
    return route.auth is not Auth.REQUIRED and any(rule.networks for rule in rules)


async def _act(trial: ConfigTrial, route: RouteSettings, origin: str) -> None:
    """Post with a session from a page of ``origin``, which only a listed one may."""
    named = route.match.named_methods
    if route.auth is Auth.NONE or (named is not None and "POST" not in named):
        return
    if route.cors is not None and origin in route.cors.origins:
        return
    cookie = (await trial.callers.cookie(MEMBER)).lines[0]
    done = await trial.ask(route, cookie, f"Origin: {origin}", method="POST")
    for arrived in done.arrived:
        if not trial.is_anonymous(arrived):
            message = f"a page of {origin} makes a request with the session of its visitor"
            trial.found("cross-site-request", route.name, message, done, arrived)
