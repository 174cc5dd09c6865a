"""Key sets of JWT issuers: which keys are used, and how they are refreshed."""

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
    """The key set of an issuer; counts how often it is fetched."""

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


async def test_simultaneous_requests_share_one_fetch(clock: FakeClock) -> None:
    """The first starts it, the others wait for it."""
    published = Published(key_set(RSA, EC))
    source = opened(published, clock)
    published.gate.clear()
    asking = [asyncio.ensure_future(ids(source)) for _ in range(5)]
    await settled()
    published.gate.set()
    assert [["ec"]] * 5 == await asyncio.gather(*asking)
    assert ["rsa"] == await ids(source, "rsa", "RS256")
    assert (1, 1) == (published.fetched, source.version)


async def test_an_unknown_key_id_causes_a_fetch(clock: FakeClock) -> None:
    """There is at most one fetch in five seconds, whatever ids are made up."""
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
    """No request waits; a withdrawn key is gone afterwards."""
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


async def test_unchanged_keys_keep_their_version(clock: FakeClock) -> None:
    """Cached verdicts stay valid."""
    source = opened(Published(key_set(EC)), clock)
    await ids(source)
    clock.now_s += REFRESH_S
    await ids(source)
    await settled()
    assert 1 == source.version


@pytest.mark.parametrize(
    "failure", [OSError(), TimeoutError(), ValueError(), b"{}", b"<html>", b'{"keys":[]}']
)
async def test_keys_are_used_for_a_day_while_the_issuer_is_unavailable(
    clock: FakeClock, failure: bytes | Exception
) -> None:
    """After that, they are unavailable."""
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


async def test_known_keys_survive_a_reload_while_the_issuer_is_unavailable(
    clock: FakeClock,
) -> None:
    """A successful fetch replaces them."""
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


async def test_keys_that_were_never_fetched_are_unavailable(clock: FakeClock) -> None:
    """The fetch is repeated soon, by one request for all."""
    published = Published(b"")
    source = opened(published, clock)
    for _ in range(5):
        with pytest.raises(KeysUnavailable):
            await ids(source)
    assert 1 == published.fetched
    published.text = key_set(EC)
    clock.now_s += MIN_INTERVAL_WITHOUT_KEYS_S
    assert ["ec"] == await ids(source)


async def test_a_clock_that_was_set_back_makes_keys_old(clock: FakeClock) -> None:
    """They are refreshed and go on to be used meanwhile."""
    published = Published(key_set(EC))
    source = opened(published, clock)
    await ids(source)
    clock.now_s -= 1_000_000
    assert ["ec"] == await ids(source)
    await settled()
    assert 2 == published.fetched


async def test_closing_cancels_a_fetch(clock: FakeClock) -> None:
    """No task is left."""
    published = Published(key_set(EC))
    source = opened(published, clock)
    published.gate.clear()
    asking = asyncio.ensure_future(ids(source))
    await settled()
    await source.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_missing_key_id_means_the_only_key_for_the_algorithm(clock: FakeClock) -> None:
    """With two such keys, none is used."""
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
def test_unusable_keys_are_ignored(other: object) -> None:
    """The other keys of the set are used."""
    text = json.dumps({"keys": [other, entry(ED)]}).encode()
    kept = [key for key in read_keys(text) if any(fits(key, name) for name in ALL)]
    assert ["ed"] == [key.get("kid") for key in kept]


ALL = ("RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")


def test_private_key_parts_are_dropped() -> None:
    """Some issuers publish more than they should."""
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
def test_a_malformed_key_set_is_an_error(text: bytes) -> None:
    """It does not count as an empty one."""
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
def test_a_key_fits_an_algorithm_by_type_curve_and_alg(
    key: RSAKey | ECKey | OKPKey, algorithms: set[str]
) -> None:
    """All three have to agree."""
    assert algorithms == {name for name in ALL if fits(key, name)}


async def test_a_key_set_is_read_from_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The file is read at each fetch; one that is too large is refused."""
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_bytes(key_set(EC))
    assert key_set(EC) == await in_file(str(path))()
    path.write_bytes(b" " * (300 << 10))
    with pytest.raises(ValueError, match="too long"):
        await in_file(str(path))()
