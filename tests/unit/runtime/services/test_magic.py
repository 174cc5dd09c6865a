"""Which Magic is asked, and by which client."""

import pytest

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.core.errors import NotReached, StartError
from gateway.runtime.process import Inherited
from gateway.runtime.services.magic import (
    asked_client_id,
    configured_audience,
    logs_out_at_magic,
    magic_api,
    magic_logout,
    magic_services,
    on_sign_out,
)
from gateway.telemetry.counters import Counters
from gateway.users.clock_skew import ClockSkew
from gateway.users.development import DEVELOPMENT_AUDIENCE
from tests.fakes.magic import FakeMagic
from tests.fakes.services import INHERITED, fake_process, settings_of

OURS = DEVELOPMENT_AUDIENCE
"""magic-admin checks one client id in a process: it is this one in all tests."""

LIVE = """
server: {{public_url: http://localhost}}
redis: {{url: 'embedded://'}}
admin: null
magic:
  {{mode: live, secret_key: sk_live_x, publishable_key: pk_live_x, api_url: "{url}"{magic}}}
session: {{keys: ["a sealing key for tests, long enough to be one"]{session}}}
"""


def live(magic: str = "", session: str = "", url: str = "http://127.0.0.1:9") -> Settings:
    """A config with Magic itself, which by default cannot be reached."""
    return parse(LIVE.format(magic=magic, session=session, url=url), "f", {}, str)


async def test_development_mode_simulates_magic() -> None:
    """Its users come from the seed, so that all workers know the same."""
    async with (
        magic_services(settings_of(), INHERITED) as one,
        magic_services(settings_of(), INHERITED) as other,
        magic_services(settings_of(), Inherited(b"x" * 32, b"k")) as stranger,
    ):
        assert DEVELOPMENT_AUDIENCE == one.client_id
        users = [m.development for m in (one, other, stranger) if m.development]
        issuers = [magic.user_with("a@b.c").issuer for magic in users]
    assert issuers[0] == issuers[1] != issuers[2]


@pytest.mark.parametrize(
    ("magic", "inherited"),
    [
        pytest.param(f", client_id: {OURS}", None, id="configured"),
        pytest.param(f", client_id: {OURS}", "another", id="both"),
        pytest.param("", OURS, id="of-the-supervisor"),
    ],
)
async def test_the_client_id_is_not_asked_for_twice(magic: str, inherited: str | None) -> None:
    """The config's word counts first, then what the supervisor was told."""
    async with magic_services(live(magic), INHERITED._replace(client_id=inherited)) as services:
        assert (OURS, None) == (services.client_id, services.development)


async def test_a_client_id_that_magic_does_not_tell() -> None:
    """The gateway does not start without one."""
    with pytest.raises(NotReached, match=r"magic\.client_id"):
        async with magic_services(live(), INHERITED):
            pass
    remedy = r"cannot reach Magic at http://127.0.0.1:9: .*; set magic.client_id"
    with pytest.raises(NotReached, match=remedy):
        await asked_client_id(live())
    assert [None, None] == [
        await asked_client_id(s) for s in (live(", client_id: x"), settings_of())
    ]


def test_the_audience_as_far_as_the_config_says_it() -> None:
    """Magic is not asked for it."""
    found = [configured_audience(s) for s in (settings_of(), live(), live(", client_id: x"))]
    assert [DEVELOPMENT_AUDIENCE, None, "x"] == found


def test_no_client_without_a_secret_key() -> None:
    """Development mode has none."""
    with pytest.raises(StartError, match="secret_key"):
        magic_api(settings_of())


async def test_signing_out_is_signing_out_at_magic_where_the_config_says_so() -> None:
    """Never in development mode, where there is none."""
    skew = ClockSkew()
    async with (
        magic_logout(settings_of(), Counters(), skew) as none,
        magic_logout(live(), Counters(), skew) as queue,
        fake_process(settings_of()) as process,
    ):
        assert (None, True) == (none, queue is not None)
        connected = process._replace(magic_logout=queue)
        told = on_sign_out(live(session=", logout_magic: true"), connected)
        assert queue is not None
        assert told == queue.queue
        assert on_sign_out(live(session=", logout_magic: false"), connected)("ada") is None
        assert on_sign_out(settings_of(), process)("ada") is None
    assert not logs_out_at_magic(settings_of())


async def test_a_refused_key_is_told_as_such() -> None:
    """The client id would cure nothing: every look-up of a user would fail."""
    magic = FakeMagic()
    async with magic.serving() as url:
        with pytest.raises(NotReached, match=r"secret key refused; check magic\.secret_key"):
            await asked_client_id(live(url=url))
