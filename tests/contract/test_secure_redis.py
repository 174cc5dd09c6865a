"""A server that wants TLS with a client certificate, and whose users have few permissions."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script, Store
from gateway.core.replies import is_count
from gateway.store.connect import Access, redis_client
from gateway.store.kinds import server_of
from gateway.store.login import Login, LoginOptions
from gateway.store.permissions import acl_rules
from gateway.store.pubsub import Subscriber
from gateway.store.server import StoreOptions
from gateway.util.background import background
from tests.contract.conftest import Guarded
from tests.fakes.certificates import Authority
from tests.fakes.redis_kinds import PREFIX, SecureRedis
from tests.fakes.servers import eventually

pytestmark = pytest.mark.timeout(60)

FAR_MS = 2**42
FLUSH = Script("flush", "redis.call('FLUSHALL') return 1", is_count)


@pytest.fixture
def server(guarded: Guarded) -> SecureRedis:
    """The running server, with nothing in it."""
    server = guarded("tls")
    assert isinstance(server, SecureRedis)
    with server.operator() as operator:
        operator.flushall()
    return server


@asynccontextmanager
async def opened(options: StoreOptions) -> AsyncIterator[Store]:
    """A store that is closed in the end."""
    store = server_of(options).store(lambda: None)
    try:
        yield store
    finally:
        await store.aclose()


async def _works(store: Store) -> bool:
    try:
        await store.set("k", b"v", expires_at_ms=FAR_MS)
    except StoreUnavailable:
        return False
    return await store.get("k") == b"v"


async def _cause(options: StoreOptions, caplog: pytest.LogCaptureFixture) -> str:
    """Why a store with these options is unavailable, as the log says."""
    async with opened(options) as store:
        assert not await _works(store)
    [message] = caplog.messages
    return message


# --- TLS ----------------------------------------------------------------------------------------


async def test_both_sides_show_their_certificates(server: SecureRedis) -> None:
    """Store, listener and scan use them."""
    heard: list[bytes] = []
    subscribed = asyncio.Event()
    place = server_of(server.options)
    async with (
        opened(server.options) as store,
        background(place.listen("c", heard.append, subscribed.set)),
    ):
        assert await _works(store)
        await subscribed.wait()
        await store.publish("c", b"hello")
        await eventually(lambda: _equal(heard, [b"hello"]), within_s=10)
    assert [b"gw:k"] == [key async for key in place.scan("")]


async def _equal(left: object, right: object) -> bool:
    return left == right


async def test_without_a_certificate_of_its_own_the_gateway_is_refused(
    server: SecureRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """The server closes the connection in the handshake, or after it (TLS 1.3)."""
    assert server.options.tls is not None
    options = server.options._replace(tls=server.options.tls._replace(certificate="", key=""))

    assert "NotConnected" in await _cause(options, caplog)


async def test_a_server_of_another_authority_is_refused(
    server: SecureRedis, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """It may be a network attacker (MITM)."""
    assert server.options.tls is not None
    other = str(Authority(tmp_path).file)
    options = server.options._replace(tls=server.options.tls._replace(ca=other))

    assert "certificate verify failed" in await _cause(options, caplog)


async def test_the_name_in_the_certificate_counts(
    server: SecureRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """That of the config, where it is reached by another one."""
    options = server.options._replace(url=server.url.replace("localhost", "127.0.0.1"))
    async with opened(options._replace(server_name="localhost")) as store:
        assert await _works(store)

    assert "not valid for '127.0.0.1'" in await _cause(options, caplog)


async def test_certificates_are_read_again_for_new_connections(
    server: SecureRedis, tmp_path: Path
) -> None:
    """Once the files have changed, without a restart."""
    assert server.options.tls is not None
    own, key = tmp_path / "own.crt", tmp_path / "own.key"
    stranger = Authority(tmp_path, "stranger").issue("gateway")
    shutil.copy(stranger.certificate, own)
    shutil.copy(stranger.key, key)
    tls = server.options.tls._replace(certificate=str(own), key=str(key))
    async with opened(server.options._replace(tls=tls)) as store:
        assert not await _works(store)
        shutil.copy(server.client.certificate, own)
        shutil.copy(server.client.key, key)

        await eventually(lambda: _works(store), within_s=10)


# --- users --------------------------------------------------------------------------------------


async def test_a_unix_socket_and_the_number_of_a_database(server: SecureRedis) -> None:
    """They are told by the URL, with or without the credentials."""
    login = server.options.login
    options = StoreOptions(f"unix://{server.socket_path}?db=3", PREFIX, 2.0, login=login)
    async with opened(options) as store:
        assert await _works(store)

    async with redis_client(f"{server.operator_url}&db=3", 2) as operator:
        assert b"v" == await operator.get("gw:k")


async def test_keys_and_commands_of_others_are_refused(
    server: SecureRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """NOPERM concerns that command alone, so the store itself is available."""
    async with opened(server.options._replace(prefix="other:")) as store:
        with pytest.raises(StoreUnavailable, match="NoPermissionError"):
            await store.set("k", b"v", expires_at_ms=FAR_MS)
        await store.ping()
    async with opened(server.options) as store:
        with pytest.raises(StoreUnavailable, match="ResponseError"):
            await store.run(FLUSH, [], [])
        assert await _works(store)
    assert [] == caplog.messages


@pytest.mark.parametrize("login", [LoginOptions("gateway", "s3cret"), LoginOptions()])
async def test_a_wrong_password_is_told_without_it(
    server: SecureRedis, caplog: pytest.LogCaptureFixture, login: LoginOptions
) -> None:
    """And none at all (NOAUTH)."""
    message = await _cause(server.options._replace(login=login), caplog)

    assert "AuthenticationError" in message
    assert "s3cret" not in message


# --- credentials that change --------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at more often than once a second."""
    monkeypatch.setattr("gateway.store.login._LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("gateway.store.line._REPLACE_EVERY_S", 0.05)


class Rotation:
    """A user of the server, and the files from which a gateway reads name and password."""

    def __init__(self, server: SecureRedis, folder: Path) -> None:
        self._server = server
        self._name, self._password = folder / "name", folder / "password"
        self.write("anna", "first")
        self.login = LoginOptions(username_file=str(self._name), password_file=str(self._password))

    def write(self, name: str, password: str) -> None:
        """Write the files."""
        self._name.write_text(f"{name}\n")
        self._password.write_text(f"{password}\n")

    def set_user(self, name: str, *rules: str) -> None:
        """Let a user in as ``rules`` say."""
        with self._server.operator() as operator:
            operator.execute_command("ACL", "SETUSER", name, "on", *acl_rules(PREFIX), *rules)

    def delete_user(self, name: str) -> None:
        """Take the user away, whose connections are closed."""
        with self._server.operator() as operator:
            operator.execute_command("ACL", "DELUSER", name)

    def connections(self, name: str) -> set[str]:
        """The connections of a user, without those of pub/sub."""
        with self._server.operator() as operator:
            clients = operator.client_list(_type="normal")
        return {each["id"] for each in clients if each["user"] == name}


@pytest.fixture
def rotation(server: SecureRedis, tmp_path: Path) -> Rotation:
    rotation = Rotation(server, tmp_path)
    rotation.set_user("anna", "resetpass", ">first")
    return rotation


async def _until(store: Store, is_so: Callable[[], bool]) -> int:
    """Use the store until it is so; return how many calls failed meanwhile."""
    failures = 0
    deadline_s = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline_s
        failures += not await _works(store)
        await asyncio.sleep(0.01)
    return failures


async def test_connections_are_replaced_when_the_password_changes(
    server: SecureRedis, rotation: Rotation
) -> None:
    """While the server takes both, no call fails; the old connections are closed."""
    async with opened(server.options._replace(login=rotation.login)) as store:
        assert await _works(store)
        before = rotation.connections("anna")
        rotation.set_user("anna", ">second")
        rotation.write("anna", "second")

        assert 0 == await _until(store, lambda: not before & rotation.connections("anna"))

        rotation.set_user("anna", "<first")
        assert await _works(store)


async def test_what_the_server_refuses_replaces_nothing(
    server: SecureRedis, rotation: Rotation, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is written too early: the connections stay until the server knows it."""
    async with opened(server.options._replace(login=rotation.login)) as store:
        assert await _works(store)
        before = rotation.connections("anna")
        rotation.write("anna", "s3cret")

        assert 0 == await _until(store, lambda: bool(caplog.messages))
        assert before <= rotation.connections("anna")
        assert "connections to the store not replaced: AuthenticationError" in caplog.text
        assert "s3cret" not in caplog.text

        rotation.set_user("anna", ">s3cret")
        assert 0 == await _until(store, lambda: not before & rotation.connections("anna"))


async def test_another_user_takes_over(server: SecureRedis, rotation: Rotation) -> None:
    """Where the user before it is deleted, its connections are closed by the server."""
    async with opened(server.options._replace(login=rotation.login)) as store:
        assert await _works(store)
        rotation.set_user("berta", "resetpass", ">third")
        rotation.write("berta", "third")
        rotation.delete_user("anna")

        await eventually(lambda: _works(store), within_s=10)
        assert rotation.connections("berta")


async def test_the_subscriber_follows_the_credentials(
    server: SecureRedis, rotation: Rotation, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays subscribed while the server refuses the new ones."""
    login = Login(rotation.login)
    subscriptions = 0

    def count() -> None:
        nonlocal subscriptions
        subscriptions += 1

    async def subscribed(times: int) -> None:
        await eventually(lambda: _equal(subscriptions, times), within_s=10)

    client = redis_client(f"unix://{server.socket_path}", 2.0, Access(login))
    heard: list[bytes] = []
    subscriber = Subscriber(client, "gw:c", heard.append, count, silence_s=0.02, changes=login.look)
    async with background(subscriber.run()), opened(server.options) as store:
        await subscribed(1)
        rotation.write("anna", "second")
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await subscribed(2)
        assert 1 == subscriptions
        rotation.set_user("anna", ">second")
        await subscribed(2)
        await store.publish("c", b"hello")
        await eventually(lambda: _equal(heard, [b"hello"]), within_s=10)

        rotation.write("anna", "unknown yet")
        await eventually(lambda: _equal(login.version, 2), within_s=10)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await subscribed(3)
        await store.publish("c", b"again")
        await eventually(lambda: _equal(heard, [b"hello", b"again"]), within_s=10)
        assert 2 == subscriptions
    await client.aclose()
