"""The words of audit lines."""

from gateway.core.audit import AuditEntry, AuditEvent


def test_each_kind_of_line_says_what_it_means() -> None:
    """The documentation takes them from here."""
    assert all(event.meaning.endswith(".") for event in AuditEvent)
    assert "user.login" == AuditEvent.LOGIN.value


def test_an_entry_is_a_success_unless_it_says_otherwise() -> None:
    """Most members have nothing to tell of most decisions."""
    entry = AuditEntry(AuditEvent.LOGIN, "did:ethr:0x1")
    assert ("ok", "", {}) == (entry.result, entry.reason, dict(entry.details))
