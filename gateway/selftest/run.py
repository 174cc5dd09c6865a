"""Run a selftest: all attacks on one config, one after the other."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from gateway.config.schema import Settings
from gateway.selftest.attacks.acceptance import show_acceptance
from gateway.selftest.attacks.addresses import attack_addresses
from gateway.selftest.attacks.cors import attack_cors
from gateway.selftest.attacks.destinations import attack_destinations
from gateway.selftest.attacks.fields import attack_fields
from gateway.selftest.attacks.identities import attack_identities
from gateway.selftest.attacks.markup import attack_markup
from gateway.selftest.attacks.pages import attack_pages
from gateway.selftest.attacks.paths import attack_paths
from gateway.selftest.attacks.smuggling import attack_framing
from gateway.selftest.attacks.tokens import attack_credentials
from gateway.selftest.isolation import with_dashboard_as_app
from gateway.selftest.lab import opened
from gateway.selftest.trial import ConfigTrial, SelftestFinding

WITHIN_S: Final = 60.0
"""Time for all attacks; those that are left then are noted."""

Attack = Callable[[ConfigTrial], Awaitable[None]]

ATTACKS: Final[Mapping[str, Attack]] = {
    "accept side": show_acceptance,
    "destinations": attack_destinations,
    "credentials": attack_credentials,
    "identities": attack_identities,
    "header fields": attack_fields,
    "addresses": attack_addresses,
    "redirects and cookies": attack_pages,
    "markup": attack_markup,
    "CORS": attack_cors,
    "smuggling": attack_framing,
    "paths": attack_paths,
}
"""The families in order, the quick ones first."""


class SelftestReport(NamedTuple):
    """What a selftest has found."""

    findings: tuple[SelftestFinding, ...]
    shown: dict[str, str]
    """By protected route, the kind of credential by which it was reached."""
    notes: tuple[str, ...]
    """What was not shown, or not tried."""
    gaps: tuple[str, ...]
    """Why the selftest proves too little to pass; empty where it does not."""
    requests: dict[str, int]
    """How many were sent, by family."""
    took_s: float


async def selftest(
    settings: Settings, attacks: Mapping[str, Attack] = ATTACKS, within_s: float = WITHIN_S
) -> SelftestReport:
    """Attack ``settings``. Raises `StartError` where something that it needs is missing."""
    began_s, settings = time.monotonic(), with_dashboard_as_app(settings)
    async with opened(settings) as lab:
        trial, requests, gaps = ConfigTrial(settings, lab), dict[str, int](), list[str]()
        for name, attack in attacks.items():
            before = lab.sent
            try:
                async with asyncio.timeout(within_s - (time.monotonic() - began_s)):
                    await attack(trial)
            except TimeoutError:
                gaps.append(f"{name}: not finished after {within_s:g} s")
            requests[name] = lab.sent - before
        if trial.forwarding and not lab.reached:
            gaps.append("no request of any caller reached an app: the attacks prove nothing")
    if lab.unreadable and not any(
        found.code == "ambiguous-framing" for found in trial.findings.values()
    ):
        gaps.append(f"{lab.unreadable} messages arrived at an app that are no requests to a server")
    gaps += dict.fromkeys(trial.gaps)
    return SelftestReport(
        tuple(trial.findings.values()),
        trial.shown,
        tuple(trial.notes),
        tuple(gaps),
        requests,
        time.monotonic() - began_s,
    )
