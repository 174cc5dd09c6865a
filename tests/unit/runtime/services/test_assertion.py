"""Keys and cache of identity assertions, by the config."""

from gateway.runtime.services.assertion import assertions, signing_keys
from tests.fakes.keys import PEM, PEM_P256, as_yaml
from tests.fakes.services import settings_of

SEED = bytes(32)


def test_without_a_section_nothing_is_signed() -> None:
    """The apps get no assertion, and there are no keys to publish."""
    settings = settings_of()
    assert () == signing_keys(settings, SEED)
    assert assertions(settings, ()) is None


def test_each_configured_key_is_used_once_and_in_order() -> None:
    """The first key signs; all are published, a repeated one once."""
    listed = ", ".join(map(as_yaml, (PEM_P256, PEM, PEM_P256)))
    settings = settings_of(f"identity: {{assertion: {{keys: [{listed}]}}}}")
    keys = signing_keys(settings, SEED)
    assert 2 == len({key.key_id for key in keys}) == len(keys)
    single = settings_of(f"identity: {{assertion: {{keys: [{as_yaml(PEM_P256)}]}}}}")
    assert signing_keys(single, SEED)[0].key_id == keys[0].key_id


def test_development_mode_derives_its_key_from_the_seed() -> None:
    """All workers of a gateway, which share the seed, publish the same key."""
    settings = settings_of("identity: {assertion: {}}")
    [key] = signing_keys(settings, SEED)
    [again] = signing_keys(settings, SEED)
    [other] = signing_keys(settings, bytes([1] * 32))
    assert key.key_id == again.key_id != other.key_id


def test_the_configured_header_is_written() -> None:
    """The name is the config's."""
    settings = settings_of("identity: {assertion: {header: X-Vouched}}")
    cache = assertions(settings, signing_keys(settings, SEED))
    assert cache is not None
    assert "X-Vouched" == cache.header
