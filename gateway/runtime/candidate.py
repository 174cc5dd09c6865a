"""
Builds the candidate of ``gateway run --shadow``: the stages of a second config, without effect.

It reads the same store, and does not ask Magic. Its limits are counted in this process, from zero;
how many requests are under way is looked up in the store.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import NoReturn

from gateway.config import compile as compiled
from gateway.config.schema import Settings
from gateway.core.errors import MagicUnavailable
from gateway.explain.peek import HELD, PeekingLeases
from gateway.explain.read_only import READS, ReadOnlyStore
from gateway.pipeline.limits import RouteLimits
from gateway.pipeline.request import RequestPipeline
from gateway.ratelimit.shadow import ShadowLeases
from gateway.routing.table import RouteTable
from gateway.runtime.active_config import own_pages, stages_of
from gateway.runtime.process import ProcessServices
from gateway.runtime.quiet import ignore_excess, quiet_limiter, quiet_services
from gateway.runtime.services import limits
from gateway.runtime.services.authn import authenticator
from gateway.runtime.services.authz import authoriser
from gateway.runtime.services.identity import identity_services
from gateway.runtime.shadow import CandidateConfig, HeldPlaces


class UnaskedMagic:
    """
    Magic that is not asked: each question costs, and made-up users would be asked for twice.

    So requests of users that the store does not know cannot be decided about.
    """

    async def user(self, issuer: str) -> NoReturn:
        """Raise `MagicUnavailable`."""
        raise MagicUnavailable(f"{issuer} is not in the store")

    async def issuers(self, email: str) -> NoReturn:
        """Raise `MagicUnavailable`."""
        raise MagicUnavailable(f"{email} is not looked up")


async def candidate(
    settings: Settings, live: Settings, process: ProcessServices
) -> CandidateConfig:
    """
    Build the stages of ``settings``, and open what they need: ``CandidateConfig.stack`` closes it.

    ``live`` is the config in use: assertions of either, which differ each time, are not compared.

    Raises `StartError` for a file that cannot be used.
    """
    store = ReadOnlyStore(process.store, READS | {HELD.name})
    unasked = replace(process.magic, source=UnaskedMagic())
    quiet = quiet_services(process._replace(magic=unasked), store)
    held = HeldPlaces()
    async with AsyncExitStack() as stack:
        identity = identity_services(settings, quiet, stack)
        limiter = quiet_limiter(settings, quiet.local, store, stack)
        lists = await limits.limit_lists(settings, quiet, stack)
        table = await asyncio.to_thread(
            RouteTable, compiled.routes(settings), own_pages=own_pages(settings)
        )
        stages = stages_of(
            settings,
            table,
            RouteLimits(
                limiter,
                ShadowLeases(PeekingLeases(store, held.own), ignore_excess),
                settings.server.rate_limit_headers == "always",
                lists,
            ),
            authenticator(settings, quiet, identity, limiter, stack, lists=lists),
            authoriser(settings, quiet, stack),
            None,
            process.traces,
        )
        asserted = [each.identity.assertion for each in (settings, live)]
        unlike = frozenset(
            each.header.lower().replace("_", "-").encode("ascii") for each in asserted if each
        )
        return CandidateConfig(RequestPipeline(stages), stack.pop_all(), unlike, held)
