"""Addresses: whether a client of the internet can choose its own, or ask what only proxies may."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from gateway.config.schema import RouteSettings
from gateway.core.route import Auth
from gateway.selftest.callers import CallerProof, WantedCaller, head, public_host, wanted
from gateway.selftest.lab import Exchanged
from gateway.selftest.trial import ConfigTrial

CLAIMED: Final = "203.0.113.77"
"""RFC 5737: the address that the attacker claims."""
INTERNET: Final = (
    *("1.2.3.4", "23.45.67.89", "45.83.12.7", "62.4.5.6", "81.2.69.160", "93.184.216.34"),
    *("109.70.1.2", "122.3.4.5", "141.30.2.3", "156.4.5.6", "175.45.176.1", "188.1.2.3"),
    *("201.6.7.8", "213.5.6.7", "220.181.38.1"),
    *("2001:db9::1", "2400:cb00::7", "2607:f8b0::9", "2a02:8071::5", "2c0f:fb50::3"),
)
"""Addresses of clients all over the internet: no network of proxies holds one of them."""


async def attack_addresses(trial: ConfigTrial) -> None:
    """Claim another address, scheme and host from all over the internet."""
    if trial.settings.server.client_ip == "proxy-protocol":
        trial.notes.append("client_ip: a PROXY header was not attacked")
    route = next(iter(await _reachable(trial)), None)
    for peer in INTERNET:
        if route is not None:
            await _claim(trial, *route, peer)
        await _check(trial, peer)
    await _networks(trial)


async def _reachable(trial: ConfigTrial) -> list[tuple[RouteSettings, CallerProof]]:
    """Return a route to which a request can be sent from any address, and by what."""
    for route in trial.forwarding:
        if route.auth is not Auth.REQUIRED:
            return [(route, CallerProof(()))]
    for route in trial.forwarding:
        for by in await trial.callers.all_of(WantedCaller(kinds=frozenset(route.accept))):
            if (await trial.ask(route, by=by)).arrived:
                return [(route, by)]
    return []


async def _claim(trial: ConfigTrial, route: RouteSettings, by: CallerProof, peer: str) -> None:
    secure = trial.settings.server.public_url.startswith("https:")
    other = "http" if secure else "https"
    lines = (
        f"X-Forwarded-For: {CLAIMED}",
        f"Forwarded: for={CLAIMED};proto={other};host=evil.selftest.invalid",
        f"X-Forwarded-Proto: {other}",
        "X-Forwarded-Host: evil.selftest.invalid",
        f"X-Real-IP: {CLAIMED}",
    )
    done = await trial.ask(route, *lines, by=by._replace(peer=peer))
    for arrived in done.arrived:
        told = " ".join(
            value for name, value in arrived.fields if "forwarded" in name.lower()
        ).lower()
        if CLAIMED in told:
            message = f"a client at {peer} is believed to be at {CLAIMED}, as it says"
            trial.found("address-spoofed", route.name, message, done, arrived)
        if f"proto={other}" in told.split(";") or arrived.values("X-Forwarded-Proto") == [other]:
            message = f"a client at {peer} is believed to use {other}, as it says"
            trial.found("scheme-spoofed", route.name, message, done, arrived)
        if "evil.selftest.invalid" in told:
            message = f"a client at {peer} is believed to have asked another host"
            trial.found("host-spoofed", route.name, message, done, arrived)


async def _check(trial: ConfigTrial, peer: str) -> None:
    """Ask for a forward-auth check, which only proxies in front may do."""
    settings = trial.settings
    lines = (
        "X-Original-Method: GET",
        "X-Original-URI: /selftest",
        f"X-Original-Host: {public_host(settings)}",
    )
    raw = head("GET", f"{settings.server.prefix}/verify", public_host(settings), *lines)
    done = await trial.lab.send(raw, peer)
    if b"untrusted_peer" not in done.answers and done.answer.status != _NOT_FOUND:
        message = f"a client at {peer} may ask whether requests would pass"
        trial.found("checks-by-strangers", "", message, done)


_NOT_FOUND: Final = 404


async def _networks(trial: ConfigTrial) -> None:
    """Try the networks of rules, as they are and by a claimed address."""
    pairs = zip(trial.settings.routes, trial.lab.settings.routes, strict=True)
    for route, under_test in pairs:
        if route.upstream is None or not any(rule.networks for rule in route.allow or ()):
            continue
        for caller in wanted(trial.lab.settings, trial.lab.people.emails, under_test):
            for by in await trial.callers.all_of(caller):
                await _from_anywhere(trial, route, by, caller.peer)


async def _from_anywhere(
    trial: ConfigTrial, route: RouteSettings, by: CallerProof, inside: str
) -> None:
    peers = list(_outside(4)) if _takes_all(route) else []
    found = [await trial.ask(route, by=by._replace(peer=peer)) for peer in peers]
    if found and all(done.arrived for done in found):
        message = "its rule names networks, and takes clients from all over the internet"
        trial.found("network-open", route.name, message, found[-1], found[-1].arrived[0])
        return
    if inside:
        for peer in INTERNET:
            lines = (f"X-Forwarded-For: {inside}", f"Forwarded: for={_quoted(inside)}")
            done = await trial.ask(route, *lines, by=by._replace(peer=peer))
            if done.arrived and not await _passes(trial, route, by, peer):
                message = f"a client at {peer} passes the rule by the address that it claims"
                trial.found("network-rule-spoofed", route.name, message, done, done.arrived[0])


def _takes_all(route: RouteSettings) -> bool:
    """Whether the networks of one rule hold clients from all over the internet."""
    return any(
        all(any(ip_address(peer) in network for network in rule.networks) for peer in _outside(4))
        for rule in route.allow or ()
        if rule.networks
    )


async def _passes(trial: ConfigTrial, route: RouteSettings, by: CallerProof, peer: str) -> bool:
    done: Exchanged = await trial.ask(route, by=by._replace(peer=peer))
    return bool(done.arrived)


def _outside(version: int) -> Iterator[str]:
    return (peer for peer in INTERNET if ip_address(peer).version == version)


def _quoted(text: str) -> str:
    return f'"[{text}]"' if ":" in text else text
