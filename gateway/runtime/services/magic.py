"""Build the clients of Magic: the source of users, the check of signatures, the logout."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.config.schema import Settings
from gateway.core.errors import GatewayError, NotReached, StartError
from gateway.runtime.process import Inherited, MagicServices, ProcessServices
from gateway.telemetry.counters import Counters
from gateway.telemetry.metrics import MAGIC_DURATION, MAGIC_ERRORS, MAGIC_LOGOUTS
from gateway.users.clock_skew import ClockSkew
from gateway.users.development import DEVELOPMENT_AUDIENCE, DevelopmentMagic
from gateway.users.magic_api import KEY_REFUSED, MAGIC_API_URL, MagicApi, SignatureChecker
from gateway.users.magic_logout import MagicLogout
from gateway.util.call_watch import UNWATCHED, CallWatch


@asynccontextmanager
async def magic_services(
    settings: Settings, inherited: Inherited, watch: CallWatch = UNWATCHED
) -> AsyncIterator[MagicServices]:
    """
    Build Magic's client, or in development mode the simulated Magic; ``watch`` hears of calls.

    Raises `StartError`, or `NotReached` where Magic has to be asked for the client id.
    """
    if is_development(settings):
        development = DevelopmentMagic(inherited.seed)
        checker = SignatureChecker("development", DEVELOPMENT_AUDIENCE)
        yield MagicServices(development, checker, DEVELOPMENT_AUDIENCE, development, ClockSkew())
        return
    key, skew = _secret_key(settings), ClockSkew()
    async with magic_api(settings, skew, watch) as api:
        client_id = (
            settings.magic.client_id or inherited.client_id or await _ask_client_id(api, settings)
        )
        yield MagicServices(api, SignatureChecker(key, client_id), client_id, None, skew)


@asynccontextmanager
async def magic_logout(
    settings: Settings, counters: Counters, skew: ClockSkew
) -> AsyncIterator[MagicLogout | None]:
    """
    Build the queue of logouts at Magic; None in development mode.

    It has a client of its own, so that failed logouts do not open the circuit of sign-ins.
    """
    if is_development(settings):
        yield None
        return
    async with magic_api(settings, skew, calls_to_magic(counters)) as api:
        logouts = MagicLogout(api.log_out, counters.labelled_events(MAGIC_LOGOUTS))
        yield logouts
        await logouts.aclose()


def on_sign_out(settings: Settings, process: ProcessServices) -> Callable[[str], object]:
    """Return what is called with each issuer that signs out: a logout at Magic, or nothing."""
    if process.magic_logout is None or not logs_out_at_magic(settings):
        return lambda _issuer: None
    return process.magic_logout.queue


def logs_out_at_magic(settings: Settings) -> bool:
    """Whether the end of a session is an end at Magic too."""
    return settings.session.logout_magic and not is_development(settings)


async def asked_client_id(settings: Settings) -> str | None:
    """Ask Magic for the client id where the config has none. Raises `NotReached`."""
    if is_development(settings) or settings.magic.client_id:
        return None
    async with magic_api(settings) as api:
        return await _ask_client_id(api, settings)


def configured_audience(settings: Settings) -> str | None:
    """Return the client id that tokens must name, as far as the config says it."""
    if is_development(settings):
        return DEVELOPMENT_AUDIENCE
    return settings.magic.client_id or None


def is_development(settings: Settings) -> bool:
    """Whether Magic is simulated in this process."""
    return settings.magic.mode == "development"


def calls_to_magic(counters: Counters) -> CallWatch:
    """Return what counts and times calls to Magic."""
    return CallWatch(counters.timed(MAGIC_DURATION), counters.events(MAGIC_ERRORS))


def magic_api(
    settings: Settings, skew: ClockSkew | None = None, watch: CallWatch = UNWATCHED
) -> MagicApi:
    """Build a client of Magic's API, to be opened by the caller. Raises `StartError`."""
    api_url, deadline_s = settings.magic.api_url or MAGIC_API_URL, settings.magic.timeout_s
    return MagicApi(_secret_key(settings), api_url, deadline_s=deadline_s, skew=skew, watch=watch)


def _secret_key(settings: Settings) -> str:
    if settings.magic.secret_key is None:
        raise StartError("magic.secret_key is missing")
    return settings.magic.secret_key.get_secret_value()


async def _ask_client_id(api: MagicApi, settings: Settings) -> str:
    url = settings.magic.api_url or MAGIC_API_URL
    try:
        return await api.client_id()
    except GatewayError as error:
        remedy = "check magic.secret_key" if str(error) == KEY_REFUSED else "set magic.client_id"
        raise NotReached(f"cannot reach Magic at {url}: {error}; {remedy}") from error
