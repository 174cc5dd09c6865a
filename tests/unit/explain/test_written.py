"""What becomes of the header fields of a request."""

from gateway.explain.written import FieldReport, field_report
from tests.fakes.heads import field_lines


def test_fields_are_dropped_changed_kept_or_written() -> None:
    """A line that reaches the app as it was is kept; repeated lines count one by one."""
    received = field_lines(
        ("Host", "a"), ("X-User-Issuer", "evil"), ("Cookie", "s=1; t=2"), ("A", "b"), ("A", "b")
    )
    sent = b"Host: a\r\nA: b\r\nCookie: t=2\r\nX-User-Issuer: did\r\n"
    assert FieldReport(
        dropped=["X-User-Issuer", "A"],
        changed=["Cookie"],
        kept=["Host", "A"],
        written=[["X-User-Issuer", "did"]],
    ) == field_report(received, sent)


def test_values_of_credentials_are_left_out() -> None:
    """Also of what the gateway's own pages get, and of signed assertions."""
    sent = b"X-Gateway-Identity: {}\r\nX-Signed: eyJ\r\nX-User-Email: a@b.c\r\n"
    assert [
        ["X-Gateway-Identity", "…"],
        ["X-Signed", "…"],
        ["X-User-Email", "a@b.c"],
    ] == field_report(field_lines(), sent, {"x-signed"}).written
