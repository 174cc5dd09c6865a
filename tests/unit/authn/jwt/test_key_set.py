"""The keys of an issuer: which of them count, and how long they are believed."""

import asyncio
import json
import warnings

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from gateway.authn.jwt.key_set import (
    MAX_AGE_S,
    MIN_INTERVAL_S,
    MIN_INTERVAL_WITHOUT_KEYS_S,
    REFRESH_S,
    KeySets,
    KeySource,
    fits,
    in_file,
    read_keys,
)
from gateway.core.errors import KeysUnavailable
from tests.fakes.jwts import EC, ED, RSA, key_set
from tests.fakes.memory import FakeClock


class Published:
    """What an issuer publishes; counts how often it is fetched."""

    def __init__(self, text: bytes) -> None:
        self.text: bytes | Exception = text
        self.fetched = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> bytes:
        self.fetched += 1
        await self.gate.wait()
        if isinstance(self.text, Exception):
            raise self.text
        return self.text


def opened(published: Published, clock: FakeClock) -> KeySource:
    return KeySource("https://id.example.com", published, clock)


async def ids(source: KeySource, key_id: str | None = "ec", algorithm: str = "ES256") -> list[str]:
    """The ids of the keys that fit."""
    return [str(key.get("kid")) for key in await source.keys(key_id, algorithm)]


async def settled() -> None:
    """What is done in the background is done."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_keys_are_fetched_once(clock: FakeClock) -> None:
    """By whoever asks first; all others wait along."""
    published = Published(key_set(RSA, EC))
    source = opened(published, clock)
    published.gate.clear()
    asking = [asyncio.ensure_future(ids(source)) for _ in range(5)]
    await settled()
    published.gate.set()
    assert [["ec"]] * 5 == await asyncio.gather(*asking)
    assert ["rsa"] == await ids(source, "rsa", "RS256")
    assert (1, 1) == (published.fetched, source.version)


async def test_a_new_key_is_fetched_when_it_is_first_used(clock: FakeClock) -> None:
    """Not more often than every five seconds, whatever ids are made up."""
    published = Published(key_set(EC))
    source = opened(published, clock)
    await ids(source)
    published.text = key_set(EC, ED)
    for _ in range(5):
        assert [] == await ids(source, "ed", "EdDSA")
    assert 1 == published.fetched
    clock.now_s += MIN_INTERVAL_S
    assert ["ed"] == await ids(source, "ed", "EdDSA")
    assert (2, 2) == (published.fetched, source.version)


async def test_old_keys_are_refreshed_in_the_background(clock: FakeClock) -> None:
    """Nobody waits; a key that was withdrawn is gone after that."""
    published = Published(key_set(EC, ED))
    source = opened(published, clock)
    await ids(source)
    published.text = key_set(ED)
    clock.now_s += REFRESH_S
    assert ["ec"] == await ids(source)
    await settled()
    clock.now_s += 1
    assert [] == await ids(source)
    assert 2 == source.version


async def test_keys_that_did_not_change(clock: FakeClock) -> None:
    """Void no verdict."""
    source = opened(Published(key_set(EC)), clock)
    await ids(source)
    clock.now_s += REFRESH_S
    await ids(source)
    await settled()
    assert 1 == source.version


@pytest.mark.parametrize(
    "failure", [OSError(), TimeoutError(), ValueError(), b"{}", b"<html>", b'{"keys":[]}']
)
async def test_an_issuer_that_is_ill(clock: FakeClock, failure: bytes | Exception) -> None:
    """Its keys go on for a day; then nobody can tell any more."""
    published = Published(key_set(EC))
    source = opened(published, clock)
    await ids(source)
    published.text = failure
    clock.now_s += MAX_AGE_S - 1
    assert ["ec"] == await ids(source)
    await settled()
    clock.now_s += MIN_INTERVAL_S
    with pytest.raises(KeysUnavailable):
        await ids(source)
    published.text = key_set(EC)
    clock.now_s += MIN_INTERVAL_S
    assert ["ec"] == await ids(source)


async def test_an_issuer_that_is_ill_when_the_config_changes(clock: FakeClock) -> None:
    """What is published goes first; what was known goes on, until the day is over."""
    published = Published(key_set(EC, ED))
    known: KeySets = {}
    before = KeySource("i", published, clock, place="a", known=known)
    assert ["ec"] == await ids(before)
    published.text = OSError()
    clock.now_s += MAX_AGE_S / 2
    after = KeySource("i", published, clock, place="a", known=known)
    assert ["ec"] == await ids(after)
    with pytest.raises(KeysUnavailable):
        await ids(KeySource("i", published, clock, place="b", known=known))
    clock.now_s += MAX_AGE_S / 2
    with pytest.raises(KeysUnavailable):
        await ids(after)
    published.text = key_set(RSA)
    assert [] == await ids(KeySource("i", published, clock, place="a", known=known))


async def test_an_issuer_that_was_never_reached(clock: FakeClock) -> None:
    """Unknown is not refused; it is asked again soon, but not by everybody."""
    published = Published(b"")
    source = opened(published, clock)
    for _ in range(5):
        with pytest.raises(KeysUnavailable):
            await ids(source)
    assert 1 == published.fetched
    published.text = key_set(EC)
    clock.now_s += MIN_INTERVAL_WITHOUT_KEYS_S
    assert ["ec"] == await ids(source)


async def test_a_clock_that_was_set_back(clock: FakeClock) -> None:
    """Makes keys old, not eternal, and locks nobody out."""
    published = Published(key_set(EC))
    source = opened(published, clock)
    await ids(source)
    clock.now_s -= 1_000_000
    assert ["ec"] == await ids(source)
    await settled()
    assert 2 == published.fetched


async def test_closing_gives_up_a_fetch(clock: FakeClock) -> None:
    """Nothing is left behind."""
    published = Published(key_set(EC))
    source = opened(published, clock)
    published.gate.clear()
    asking = asyncio.ensure_future(ids(source))
    await settled()
    await source.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_token_without_key_id(clock: FakeClock) -> None:
    """Counts where there is one key for its algorithm."""
    another = ECKey.generate_key("P-256", {"kid": "ec2"})
    source = opened(Published(key_set(RSA, EC)), clock)
    assert ["ec"] == await ids(source, None)
    ambiguous = opened(Published(key_set(another, EC)), clock)
    assert [] == await ids(ambiguous, None)


# --- which keys count --------------------------------------------------------------------------


def entry(key: RSAKey | ECKey | OKPKey | OctKey, **changes: object) -> dict[str, object]:
    return {**key.as_dict(private=isinstance(key, OctKey)), **changes}


with warnings.catch_warnings(action="ignore"):
    SHORT = RSAKey.generate_key(1024, {"kid": "short"})


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(entry(EC, use="enc"), id="for-encryption"),
        pytest.param(entry(EC, key_ops=["encrypt"]), id="for-other-operations"),
        pytest.param(entry(EC, key_ops="verify"), id="operations-are-text"),
        pytest.param(entry(OctKey.generate_key(256)), id="a-secret"),
        pytest.param(entry(SHORT), id="too-short"),
        pytest.param(entry(OKPKey.generate_key("X25519")), id="for-key-agreement"),
        pytest.param(entry(EC, crv="P-999"), id="no-such-curve"),
        pytest.param(entry(EC, x="AA"), id="not-on-the-curve"),
        pytest.param({"kty": "EC"}, id="half-of-one"),
        pytest.param({"kty": ["EC"]}, id="kind-is-a-list"),
        pytest.param({}, id="empty"),
        pytest.param("EC", id="text"),
    ],
)
def test_keys_that_are_passed_over(other: object) -> None:
    """They are for something else, or for nothing; the others go on."""
    text = json.dumps({"keys": [other, entry(ED)]}).encode()
    kept = [key for key in read_keys(text) if any(fits(key, name) for name in ALL)]
    assert ["ed"] == [key.get("kid") for key in kept]


ALL = ("RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")


def test_private_parts_are_not_kept() -> None:
    """Of an issuer that publishes more than it should."""
    text = json.dumps({"keys": [EC.as_dict(private=True)]}).encode()
    (key,) = read_keys(text)
    assert not key.is_private


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b'{"keys": {}}', id="keys-are-an-object"),
        pytest.param(b'{"keys": []}', id="none"),
        pytest.param(json.dumps({"keys": [entry(EC)] * 65}).encode(), id="too-many"),
        pytest.param(json.dumps({"keys": [entry(EC, use="enc")]}).encode(), id="none-for-us"),
    ],
)
def test_what_is_no_key_set(text: bytes) -> None:
    """Is not taken for one that is empty."""
    with pytest.raises(ValueError, match=r"^no (key|JSON)"):
        read_keys(text)


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        pytest.param(RSA, {"RS256", "PS512"}, id="rsa"),
        pytest.param(EC, {"ES256"}, id="ec"),
        pytest.param(ECKey.generate_key("P-384"), {"ES384"}, id="p-384"),
        pytest.param(ECKey.generate_key("P-521"), {"ES512"}, id="p-521"),
        pytest.param(ED, {"EdDSA", "Ed25519"}, id="ed25519"),
        pytest.param(OKPKey.generate_key("Ed448"), set(), id="ed448"),
        pytest.param(
            OKPKey.generate_key("Ed25519", {"alg": "EdDSA"}), {"EdDSA", "Ed25519"}, id="old-name"
        ),
        pytest.param(RSAKey.generate_key(2048, {"alg": "PS512"}), {"PS512"}, id="says-for-what"),
    ],
)
def test_which_key_is_for_which_algorithm(
    key: RSAKey | ECKey | OKPKey, algorithms: set[str]
) -> None:
    """By its kind, its curve and its own word."""
    assert algorithms == {name for name in ALL if fits(key, name)}


async def test_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Is read anew each time; too large a one is none."""
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_bytes(key_set(EC))
    assert key_set(EC) == await in_file(str(path))()
    path.write_bytes(b" " * (300 << 10))
    with pytest.raises(ValueError, match="too long"):
        await in_file(str(path))()
