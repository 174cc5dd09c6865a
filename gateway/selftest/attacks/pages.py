"""The gateway's own pages: redirects to other sites, and cookies that can be read on the way."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from gateway.config.addresses import is_loopback, is_loopback_http
from gateway.config.schema import Settings
from gateway.selftest.callers import MEMBER, head, public_host
from gateway.selftest.corpus.redirects import PAYLOADS
from gateway.selftest.trial import ConfigTrial

_LONGEST: Final = 4000
_OWN: Final = frozenset({"account", "login", "signed-out"})
"""Beside the page that signs out."""


async def attack_pages(trial: ConfigTrial) -> None:
    """Lead a person who is signed in away, and look at the cookie of a session."""
    await _redirects(trial)
    await _cookie(trial)


async def _redirects(trial: ConfigTrial) -> None:
    settings = trial.settings
    scheme = settings.server.public_url.partition(":")[0]
    listed = [f"{scheme}://{host}/" for host in settings.login.return_to_hosts]
    by = await trial.callers.cookie(MEMBER)
    for payload in (*PAYLOADS, *listed):
        written = quote(payload[:_LONGEST], safe="", errors="surrogatepass")
        if len(written) > _LONGEST:
            continue
        target = f"{settings.server.prefix}/login?return_to={written}"
        request = head("GET", target, public_host(settings), *by.lines)
        await _led(trial, request, "login")
        for target, *lines in _log_outs(settings, payload, written):
            await _led(trial, head("POST", target, public_host(settings), *lines), "logout")


def _log_outs(settings: Settings, payload: str, written: str) -> Iterator[tuple[str, ...]]:
    """Yield targets and fields of forms that sign out, and say where to go on."""
    form = (
        f"Origin: {settings.server.public_url}",
        "Sec-Fetch-Mode: navigate",
        "Content-Length: 0",
    )
    path = f"{settings.server.prefix}/logout"
    yield f"{path}?return_to={written}", *form
    if payload.isprintable() and payload.isascii():  # else no field can hold it
        yield f"{path}?switch=true", *form, f"Referer: {payload[:_LONGEST]}"


async def _led(trial: ConfigTrial, request: bytes, after: str) -> None:
    """Send a request, and look where its answer leads."""
    url, done = trial.settings.server.public_url, await trial.lab.send(request)
    for location in done.answer.values("Location"):
        page, _, back = location.partition("?return_to=")
        # One of our own pages, which leads on; other places are what a browser makes of them.
        place = unquote(back) if page in _OWN else location
        if place and leads_elsewhere(place, url):
            message = f"after a {after}, the gateway redirects to another site: {place}"
            trial.found("redirect-foreign", "", message, done)


def leads_elsewhere(place: str, public_url: str) -> bool:
    """Whether a browser at ``public_url`` leaves its site for ``place``."""
    if place.startswith("/") and not place.startswith(("//", "/\\")):
        return False
    try:
        host = urlsplit(place).hostname
    except ValueError:  # browsers may read it in another way
        return True
    return not host or not is_same_site(host, urlsplit(public_url).hostname or "")


def is_same_site(one: str, other: str) -> bool:
    """
    Whether two hosts have their last two labels in common, as hosts of one owner do.

    The list of public suffixes is not at hand: two tenants of one hosting service look like one.
    """
    return one == other or one.split(".")[-2:] == other.split(".")[-2:]


async def _cookie(trial: ConfigTrial) -> None:
    """Sign in, and see whether the session can be read on the way."""
    settings = trial.settings
    done = await trial.lab.send(trial.callers.sign_in_request("cookie@selftest.invalid"))
    url = settings.server.public_url
    for line in done.answer.values("Set-Cookie"):
        if not line.startswith(f"{settings.session.cookie}="):
            continue
        trial.callers.labels[line.partition("=")[2].partition(";")[0]] = "<session>"
        attributes = {each.strip().lower() for each in line.split(";")[1:]}
        if "secure" not in attributes and not is_loopback_http(url):
            message = (
                "the session cookie goes over http: a network attacker reads it and is the user"
            )
            trial.found("session-in-the-clear", "", message, done)
        if "httponly" not in attributes:
            trial.found("session-for-scripts", "", "scripts can read the session cookie", done)


def is_local(origin: str) -> bool:
    """Whether ``origin`` is on the machine of the visitor."""
    return is_loopback(urlsplit(origin).hostname or "")
