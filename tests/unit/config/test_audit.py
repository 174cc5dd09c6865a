"""Section ``audit``."""

from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.audit import AuditSettings, decode_audit_key

KEY = b64encode(b"\xfb" * 32).decode()


def test_a_key_is_base64_of_32_bytes() -> None:
    """Of either alphabet, with padding or without; it is hidden where settings are shown."""
    for written in (KEY, KEY.rstrip("="), urlsafe_b64encode(b"\xfb" * 32).decode()):
        settings = AuditSettings(file="/a", key=written, old_keys=[KEY])
        assert b"\xfb" * 32 == decode_audit_key(settings.key.get_secret_value())
        assert written not in repr(settings)
        assert written not in settings.model_dump_json()
        assert "continue" == settings.on_failure


@pytest.mark.parametrize("key", ["", "x", "é" * 44, b64encode(b"k" * 31).decode(), KEY + "AAAA"])
def test_what_is_no_key_is_refused(key: str) -> None:
    """Without being shown."""
    with pytest.raises(ValueError, match="expected base64 of 32 random bytes"):
        decode_audit_key(key)


@pytest.mark.parametrize(
    "section", [{"file": "/a"}, {"key": KEY}, {"file": "", "key": KEY}, {"file": "/a", "key": ""}]
)
def test_a_half_configured_file_is_refused(section: dict[str, Any]) -> None:
    """An unset variable must not switch the audit off."""
    with pytest.raises(ValidationError):
        AuditSettings(**section)
