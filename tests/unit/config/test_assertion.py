"""``identity.assertion``."""

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


def said(more: str, *pems: str) -> str:
    """An assertion with these keys."""
    keys = ", ".join(map(as_yaml, pems))
    return f"identity: {{assertion: {{keys: [{keys}]{more}}}}}"


def test_off_until_configured(read: Read) -> None:
    """Nothing is signed, and no key is made."""
    settings = read("")
    assert () == signing_keys(settings, SEED)
    assert assertions(settings, ()) is None


def test_defaults(read: Read) -> None:
    """As the design has them."""
    settings = read(said("", PEM))
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


def test_keys_are_known_once(read: Read) -> None:
    """The first signs; one that stands there twice is one."""
    ids = [key.key_id for key in signing_keys(read(said("", PEM_2, PEM, PEM_2)), SEED)]
    assert [signing_key(PEM_2).key_id, signing_key(PEM).key_id] == ids


def test_development_makes_its_own(read: Read) -> None:
    """The same for all processes that were given the seed."""
    (key,) = signing_keys(read(DEVELOPMENT + said("")), SEED)
    assert made_up_key(SEED).key_id == key.key_id


def test_keys_are_not_shown(read: Read) -> None:
    """Not when the settings are printed."""
    settings = read(said("", PEM))
    assert PEM.splitlines()[1] not in f"{settings!r}{settings.model_dump(mode='json')}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (said(""), "identity.assertion.keys: required in live mode"),
        ("identity: {assertion: {}}", "identity.assertion.keys: required in live mode"),
        ("identity: {assertion: }", "identity.assertion: expected a value"),
        (said("", "nonsense"), "identity.assertion.keys[0]: expected a private key in PEM"),
        (said(", lifetime: 4s", PEM), "identity.assertion.lifetime: expected a duration from 5s"),
        (said(", lifetime: 2h", PEM), "identity.assertion.lifetime: expected a duration from 5s"),
        (said(", bind: user", PEM), "identity.assertion.bind: expected 'identity' or 'request'"),
        (said(", header: X-Gateway-Other", PEM), "identity.assertion.header: this header has"),
        (
            said(", header: x-user-issuer", PEM),
            "identity.assertion.header: same header as identity.headers.issuer",
        ),
    ],
)
def test_what_cannot_be(complaints: Complain, text: str, fault: str) -> None:
    """Each is said with its place, and without what was written."""
    (problem,) = complaints(text)
    assert problem.startswith(f"gateway.yaml:1: {fault}")


def test_another_header(read: Read) -> None:
    """It may have another name; the usual one keeps its spelling."""
    assertion = read(said(", header: X-Vouched", PEM)).identity.assertion
    assert assertion is not None
    assert "X-Vouched" == assertion.header
    assertion = read(said(", header: x-gateway-assertion", PEM)).identity.assertion
    assert assertion is not None
    assert "X-Gateway-Assertion" == assertion.header
