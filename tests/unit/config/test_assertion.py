"""Section ``identity.assertion``, and the keys and the cache that are made from it."""

from collections.abc import Callable

import pytest

from gateway.assertion.token import made_up_key, signing_key
from gateway.config.schema import Settings
from gateway.runtime.services.assertion import assertions, signing_keys
from tests.fakes.keys import PEM, PEM_2, as_yaml

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]

SEED = b"1" * 32
DEVELOPMENT = "magic: {mode: development}\nserver: {public_url: 'http://localhost'}\n"


def section(more: str, *pems: str) -> str:
    """The section with these private keys, and more YAML keys."""
    keys = ", ".join(map(as_yaml, pems))
    return f"identity: {{assertion: {{keys: [{keys}]{more}}}}}"


def test_off_until_configured(read: Read) -> None:
    """Without the section nothing is signed, and no key is made."""
    settings = read("")
    assert () == signing_keys(settings, SEED)
    assert assertions(settings, ()) is None


def test_defaults(read: Read) -> None:
    """An assertion lives a minute, and is reused for the same caller."""
    settings = read(section("", PEM))
    assertion = settings.identity.assertion
    assert assertion is not None
    assert ("X-Gateway-Assertion", 60.0, "identity") == (
        assertion.header,
        assertion.lifetime_s,
        assertion.bind,
    )
    made = assertions(settings, signing_keys(settings, SEED))
    assert made is not None
    assert "X-Gateway-Assertion" == made.header


def test_repeated_keys_count_once(read: Read) -> None:
    """The order is that of the file, so the first one signs."""
    ids = [key.key_id for key in signing_keys(read(section("", PEM_2, PEM, PEM_2)), SEED)]
    assert [signing_key(PEM_2).key_id, signing_key(PEM).key_id] == ids


def test_development_mode_makes_its_own_key(read: Read) -> None:
    """The key follows from the seed, so that all workers have the same."""
    (key,) = signing_keys(read(DEVELOPMENT + section("")), SEED)
    assert made_up_key(SEED).key_id == key.key_id


def test_keys_are_not_shown(read: Read) -> None:
    """Settings can be printed without the private keys."""
    settings = read(section("", PEM))
    assert PEM.splitlines()[1] not in f"{settings!r}{settings.model_dump(mode='json')}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (section(""), "identity.assertion.keys: required in live mode"),
        ("identity: {assertion: {}}", "identity.assertion.keys: required in live mode"),
        ("identity: {assertion: }", "identity.assertion: expected a value"),
        (section("", "nonsense"), "identity.assertion.keys[0]: expected a private key in PEM"),
        (
            section(", lifetime: 4s", PEM),
            "identity.assertion.lifetime: expected a duration from 5s",
        ),
        (
            section(", lifetime: 2h", PEM),
            "identity.assertion.lifetime: expected a duration from 5s",
        ),
        (section(", bind: user", PEM), "identity.assertion.bind: expected 'identity' or 'request'"),
        (section(", header: X-Gateway-Other", PEM), "identity.assertion.header: this header has"),
        (
            section(", header: x-user-issuer", PEM),
            "identity.assertion.header: same header as identity.headers.issuer",
        ),
    ],
)
def test_invalid_values(complaints: Complain, text: str, fault: str) -> None:
    """Each is reported with its key, and without the value."""
    (problem,) = complaints(text)
    assert problem.startswith(f"gateway.yaml:1: {fault}")


def test_another_header(read: Read) -> None:
    """The name can be replaced; the default keeps its spelling in any case."""
    assertion = read(section(", header: X-Vouched", PEM)).identity.assertion
    assert assertion is not None
    assert "X-Vouched" == assertion.header
    assertion = read(section(", header: x-gateway-assertion", PEM)).identity.assertion
    assert assertion is not None
    assert "X-Gateway-Assertion" == assertion.header
