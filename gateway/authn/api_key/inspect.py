"""Report on an API key."""

from gateway.authn.api_key.key import parse_key
from gateway.authn.inspect import InspectionContext, Report, Result


def inspect_api_key(text: str, _context: InspectionContext) -> Report:
    """Report on an API key: its id, never its secret."""
    report, parsed = Report("api_key"), parse_key(text)
    if parsed is None:
        report.fail("api_key_malformed", "It is misspelled: its checksum, or its form, is wrong.")
    else:
        report.claims, report.checks = {"id": parsed.id}, {"checksum": Result.OK}
    return report
