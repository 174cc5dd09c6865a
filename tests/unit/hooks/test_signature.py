"""Signatures, as receivers check them."""

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.hooks.signature import Signer, key_of

OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 64).decode()
BODY = '{"name":"Zoë"}'.encode()


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_either_secret_verifies_while_one_replaces_the_other(secret: str) -> None:
    """Receivers may change theirs at any time in between."""
    fields = Signer([NEW, OLD]).fields("evt_1", time.time(), BODY)
    assert {"name": "Zoë"} == Webhook(secret).verify(BODY, fields)


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        pytest.param(BODY + b" ", {}, id="another-body"),
        pytest.param(BODY, {"webhook-id": "evt_2"}, id="another-id"),
        pytest.param(BODY, {"webhook-timestamp": str(int(time.time()) + 1)}, id="another-time"),
        pytest.param(BODY, {"webhook-signature": "v1,AAAA"}, id="another-signature"),
    ],
)
def test_nothing_that_was_altered_verifies(body: bytes, changes: dict[str, str]) -> None:
    """Body, id and time are all signed."""
    fields = Signer([OLD]).fields("evt_1", time.time(), BODY) | changes
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(body, fields)


def test_an_attempt_that_is_recorded_is_of_no_use_later() -> None:
    """Each attempt is signed anew, as receivers refuse old times."""
    fields = Signer([OLD]).fields("evt_1", time.time() - 600, BODY)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(OLD).verify(BODY, fields)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_" + "!" * 32,
        base64.b64encode(b"o" * 24).decode(),
        "whsec_" + base64.b64encode(b"o" * 65).decode(),
        "whsec_" + base64.b64encode(b"o" * 23).decode(),
    ],
)
def test_a_weak_secret_is_refused(secret: str) -> None:
    """The message does not show it."""
    with pytest.raises(ValueError, match="24 to 64 random bytes") as fault:
        key_of(secret)
    assert secret in ("", "whsec_") or secret not in str(fault.value)
