"""What a candidate config decides, and what it leaves alone."""

import time
from dataclasses import replace
from typing import NoReturn

import pytest

from gateway.core.errors import MagicUnavailable, RateLimited
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound
from gateway.runtime.candidate import candidate
from gateway.store.bus import StoreBus
from tests.fakes.heads import request_head
from tests.fakes.services import NO_LISTS, fake_process, settings_of
from tests.fakes.store import FakeStore
from tests.fakes.tokens import ALICE, minted

CONFIG = """
limits: {once: {concurrent: 1}}
upstreams: {app: {servers: ["http://127.0.0.1:9"]}}
routes:
  - {name: once, match: {path: "/once/*"}, auth: none, limits: [once], upstream: app}
  - {name: rest, match: {path: "/*"}, upstream: app}
"""


class AskedMagic:
    """Magic that notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def user(self, issuer: str) -> NoReturn:
        """Note it."""
        self.asked.append(issuer)
        raise AssertionError

    async def issuers(self, email: str) -> NoReturn:
        """Note it."""
        self.asked.append(email)
        raise AssertionError


async def test_magic_is_not_asked() -> None:
    """Questions cost; the config in use alone asks them. What was opened is closed."""
    settings, magic = settings_of(CONFIG), AskedMagic()
    async with fake_process(settings) as around:
        process = around._replace(magic=replace(around.magic, source=magic))
        assert isinstance(process.bus, StoreBus)
        token = minted(time.time(), ALICE)
        head = request_head(("Authorization", f"Bearer {token}"), target="/x")
        built = await candidate(settings, settings, process)
        async with built.stack:
            with pytest.raises(MagicUnavailable):
                await built.pipeline.admit(head, RequestRecord())
        assert ([], []) == (magic.asked, process.bus._missed_callbacks)


@pytest.mark.parametrize("has_some", [True, False])
async def test_the_place_of_the_request_itself_is_not_one_of_others(*, has_some: bool) -> None:
    """A request that the config in use has admitted to the last place is admitted."""
    settings = settings_of(CONFIG)
    store = FakeStore(time.time, {**NO_LISTS, "held": lambda _keys, _args: 1})
    async with fake_process(settings, store) as process:
        built = await candidate(settings, settings, process)
        async with built.stack:
            built.held.has_some = has_some
            admitted = built.pipeline.admit(request_head(target="/once/x"), RequestRecord())
            if has_some:
                assert isinstance(await admitted, Outbound)
            else:
                with pytest.raises(RateLimited):
                    await admitted
