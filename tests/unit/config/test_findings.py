"""Findings for programs."""

import json

from gateway.config.findings import Finding, InvalidConfig, Severity


def test_a_finding_is_json_with_its_seven_parts() -> None:
    """A program finds file, line, key, code, severity, message and remedy."""
    found = Finding("f", 3, "server.listen[0]", "invalid-value", Severity.ERROR, "no", "write it")
    assert json.loads(json.dumps(found._asdict())) == {
        "file": "f",
        "line": 3,
        "key": "server.listen[0]",
        "code": "invalid-value",
        "severity": "error",
        "message": "no",
        "remedy": "write it",
    }


def test_an_invalid_config_says_it_to_people_and_programs() -> None:
    """The error holds the texts, and the same as findings."""
    found = Finding("f", 3, "", "yaml-syntax", Severity.ERROR, "no", "write it")
    error = InvalidConfig(["f:3: no"], (found,))
    assert (["f:3: no"], (found,), "f:3: no") == (error.problems, error.findings, str(error))
    assert (True, False) == (error.has("yaml-syntax"), error.has("unset-variable"))
