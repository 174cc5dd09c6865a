"""The gateway's own pages: what clients send must be text in them, never markup."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from gateway.config.schema import Settings
from gateway.selftest.callers import CallerProof, head, public_host
from gateway.selftest.trial import ConfigTrial

_SCRIPT: Final = "<script>selftest</script>"
_MARKUP: Final = f"\"'>{_SCRIPT}"
_PERSON: Final = f"{_SCRIPT}@selftest.invalid"
_NAVIGATES: Final = ("Sec-Fetch-Mode: navigate", "Accept: text/html")


async def attack_markup(trial: ConfigTrial) -> None:
    """Send markup by everything that a page may show: target, host, fields, name of the caller."""
    for raw, peer in _by_strangers(trial.settings):
        await _sent(trial, raw, peer)
    person = await trial.callers.cookie(_PERSON)
    for raw in _by_the_person(trial.settings, person):
        await _sent(trial, raw)


async def _sent(trial: ConfigTrial, raw: bytes, peer: str = "") -> None:
    done = await trial.lab.send(raw, peer)
    is_page = done.answer.value("Content-Type").startswith("text/html")
    if is_page and not done.arrived and _SCRIPT.encode() in done.answer.body:
        message = "a page of the gateway has markup that its caller has sent"
        trial.found("markup-in-page", "", message, done)


def _by_strangers(settings: Settings) -> Iterator[tuple[bytes, str]]:
    """Yield requests that the gateway itself answers, and the peers that send them."""
    prefix, host, quoted = settings.server.prefix, public_host(settings), quote(_MARKUP)
    for target in (
        f"{prefix}/{quoted}",
        f"{prefix}/{_MARKUP}",
        f"/%00{quoted}",
        f"{prefix}/login?return_to=/{quoted}",
        f"{prefix}/login?return_to=/x?{quoted}",
        f"{prefix}/logout?return_to=/x?{quoted}",
        f"{prefix}/signed-out?return_to=/x?{quoted}",
        f"{prefix}/callback?{quoted}",
        f"{prefix}/refused/{quoted}",
        f"{prefix}/refused/429?retry_after={quoted}",
        f"{prefix}/language?to={quoted}",
    ):
        yield head("GET", target, host, *_NAVIGATES), ""
    yield head("GET", "/", f"{host}{_MARKUP}", *_NAVIGATES), ""
    yield head(_MARKUP, "/", host, *_NAVIGATES), ""
    for field in (
        f"Accept-Language: {_MARKUP}",
        f"Cookie: gateway-lang={_SCRIPT}",
        f"Referer: {settings.server.public_url}/{_MARKUP}",
        f"X-Request-Id: {_MARKUP}",
    ):
        for peer in _peers(settings):
            yield head("GET", f"{prefix}/selftest", host, *_NAVIGATES, field), peer
    for peer in _peers(settings):
        asked = (
            "X-Original-Method: GET",
            f"X-Original-URI: /{_MARKUP}",
            f"X-Original-Host: {host}",
        )
        yield head("GET", f"{prefix}/verify", host, *_NAVIGATES, *asked), peer


def _peers(settings: Settings) -> tuple[str, ...]:
    """Return a stranger, and a proxy whose request ids are kept where there is one."""
    trusted = settings.server.trusted_proxies[:1]
    return ("", *(str(network.network_address) for network in trusted))


def _by_the_person(settings: Settings, person: CallerProof) -> Iterator[bytes]:
    """Yield requests whose pages show who is signed in."""
    prefix, host = settings.server.prefix, public_host(settings)
    for path in ("/account", "/logout", "/refused/403", "/selftest"):
        yield head("GET", prefix + path, host, *_NAVIGATES, *person.lines)
    for route in settings.routes:
        path = route.match.path.removesuffix("*")
        yield head("GET", path, route.match.host or host, *_NAVIGATES, *person.lines)
