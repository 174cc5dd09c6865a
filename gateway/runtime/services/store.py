"""Build the store, its embedded server, and the subscription to what is published there."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import NamedTuple

from pydantic import SecretStr

from gateway.config.redis import SentinelSettings
from gateway.config.schema import RedisSettings, Settings
from gateway.core.invalidation import CHANNEL
from gateway.core.ports import Bus, Store
from gateway.store import kinds
from gateway.store.bus import StoreBus
from gateway.store.confirm import Confirmation
from gateway.store.connect import address_of, is_upstash
from gateway.store.login import LoginOptions
from gateway.store.server import StoreOptions
from gateway.store.server_info import StoreFinding
from gateway.store.store_check import examine
from gateway.util.background import background
from gateway.util.call_watch import UNWATCHED, CallWatch
from gateway.util.client_tls import ClientTlsFiles


class SharedStore(NamedTuple):
    """A store that gateways use, and the bus that tells them of changes."""

    store: Store
    bus: Bus


@asynccontextmanager
async def store_server(settings: Settings) -> AsyncIterator[str]:
    """Run the embedded server where the config asks for one; yields the URL of the store."""
    async with kinds.run_server(_configured_url(settings)) as url:
        yield url


@asynccontextmanager
async def open_store(
    url: str,
    settings: Settings,
    on_wrong_reply: Callable[[], object] = lambda: None,
    watch: CallWatch = UNWATCHED,
) -> AsyncIterator[Store]:
    """Open the store at ``url``. Nothing is sent yet."""
    store = kinds.server_of(store_options(url, settings)).store(on_wrong_reply, watch)
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def subscription(url: str, settings: Settings, bus: StoreBus) -> AsyncIterator[None]:
    """Hand ``bus`` what is published at ``url``; does not wait for the store to answer."""
    server = kinds.server_of(store_options(url, settings))
    async with background(server.listen(CHANNEL, bus.receive, bus.subscribed)):
        yield


@asynccontextmanager
async def shared_store(settings: Settings) -> AsyncIterator[SharedStore]:
    """
    Open the store that running gateways with this config use; for commands.

    Raises `StartError` for a store in a gateway's memory, which no other process can reach.
    """
    store = kinds.server_of(_patient(_shared_options(settings))).store(lambda: None)
    try:
        yield SharedStore(store, StoreBus(store))
    finally:
        await store.aclose()


async def scan_keys(settings: Settings, start: str) -> AsyncGenerator[str, None]:
    """
    Yield all keys of the shared store that begin with ``start``, without the configured prefix.

    Some may come twice. It reads all keys there are, a thousand at a time: for operators, who can
    wait. Raises `StoreUnavailable` or `StartError`.
    """
    server = kinds.server_of(_shared_options(settings))
    async with aclosing(server.scan(start)) as keys:
        async for key in keys:
            with suppress(UnicodeDecodeError):  # of another program
                yield key.decode().removeprefix(settings.redis.prefix)


def reads_lag(settings: Settings) -> bool:
    """Whether any replica may answer a read, also one that lags behind: so does Upstash."""
    return is_upstash(_configured_url(settings))


async def examine_store(settings: Settings) -> tuple[str, list[StoreFinding]]:
    """Examine the shared store; return its address too. Raises as `scan_keys` does."""
    options = _shared_options(settings)
    told = options._replace(confirm=confirmation(settings))
    return address_of(options.url), await examine(kinds.server_of(_patient(options)), told)


def confirmation(settings: Settings) -> Confirmation | None:
    """Return what the config wants replicas to confirm, if anything."""
    confirm = settings.hooks.confirm
    if confirm is None:
        return None
    return Confirmation(confirm.replicas, confirm.timeout_s, confirm.required)


@asynccontextmanager
async def confirming(settings: Settings, confirm: Confirmation) -> AsyncIterator[Store]:
    """Open the store once more, on connections of its own: those are held up by WAIT."""
    options = store_options(_configured_url(settings), settings)
    waiting = options._replace(timeout_s=options.timeout_s + confirm.delay_s, confirm=confirm)
    store = kinds.server_of(waiting).store(lambda: None)
    try:
        yield store
    finally:
        await store.aclose()


def store_options(url: str, settings: Settings) -> StoreOptions:
    """Return how the store at ``url`` is reached; no file is read."""
    redis, tls = settings.redis, settings.redis.tls
    return StoreOptions(
        url,
        redis.prefix,
        redis.reply_timeout_s,
        _plain(redis.token),
        _login(redis),
        ClientTlsFiles(tls.ca, tls.certificate, tls.key) if tls is not None else None,
        (tls.server_name or "") if tls is not None else "",
        _login(redis.sentinel),
        redis.connect_timeout_s,
        redis.connections,
        redis.retries,
    )


def _shared_options(settings: Settings) -> StoreOptions:
    """Return how commands reach the store. Raises `StartError`."""
    return store_options(kinds.shared_url(_configured_url(settings)), settings)


def _patient(options: StoreOptions) -> StoreOptions:
    """Return the options of a command, whose first exchange waits for the connection, too."""
    return options._replace(timeout_s=options.patience_s)


def _login(section: RedisSettings | SentinelSettings) -> LoginOptions:
    return LoginOptions(
        section.username, _plain(section.password), section.username_file, section.password_file
    )


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""


def _configured_url(settings: Settings) -> str:
    return settings.redis.url.get_secret_value()
