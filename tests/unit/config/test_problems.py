"""Problems as text."""

import pytest

from gateway.config.findings import Severity
from gateway.config.problems import MISSING_KEY, KeyPath, Problem, dotted, invalid

LINES: dict[KeyPath, int] = {(): 1, ("a",): 2, ("a", "b"): 3, ("a", "b", 0): 4}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("server", "listen", 0), "server.listen[0]"),
        (("routes", 2, "match", "path"), "routes[2].match.path"),
        (("limits", "a b\n"), "limits['a b\\n']"),
    ],
)
def test_dotted(path: KeyPath, expected: str) -> None:
    """A path is written with dots; special characters are quoted (log injection)."""
    assert expected == dotted(path)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        pytest.param(Problem(("a", "b", 0), "bad"), "f:4: a.b[0]: bad", id="its-own-line"),
        pytest.param(Problem(("a", "c"), "required"), "f:2: a.c: required", id="the-line-around"),
        pytest.param(Problem(("z",), "required"), "f:1: z: required", id="the-first-line"),
        pytest.param(Problem((), "bad"), "f:1: bad", id="the-whole-file"),
        pytest.param(Problem(("a",), "bad", at_line=9), "f:9: a: bad", id="another-line"),
        pytest.param(Problem(("a",), "is bad", separator=" "), "f:2: a is bad", id="a-sentence"),
        pytest.param(Problem(("a",), "bad", remedy="do x"), "f:2: a: bad: do x", id="a-remedy"),
    ],
)
def test_text(problem: Problem, expected: str) -> None:
    """A problem names file, line and key."""
    assert expected == problem.text("f", LINES)


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        pytest.param(Problem(("a",), "bad", remedy="do x", default_remedy="y"), "do x", id="own"),
        pytest.param(Problem(("a",), "bad", code="z", default_remedy="do y"), "do y", id="check"),
        pytest.param(Problem(("a",), "required", code=MISSING_KEY), "add the key", id="kind"),
        pytest.param(Problem(("a",), "expected a list"), "write a list", id="what-is-expected"),
        pytest.param(
            Problem(("a",), "too long"), "change the value as the message says", id="a-value"
        ),
    ],
)
def test_every_finding_has_a_remedy(problem: Problem, remedy: str) -> None:
    """A program always has something to show: of the problem, of its check, or of its kind."""
    found = problem.finding("f", LINES, Severity.WARNING)
    assert ("f", 2, "a", "warning", remedy) == (
        found.file,
        found.line,
        found.key,
        found.severity,
        found.remedy,
    )


def test_a_warning_shows_its_code() -> None:
    """A reader can look it up, and a program can match it."""
    text = Problem(("a",), "odd", remedy="do x", code="c").text("f", LINES, Severity.WARNING)
    assert "f:2: warning: a: odd: do x [c]" == text


def test_problems_become_one_error() -> None:
    """It holds each of them as text and as a finding."""
    error = invalid([Problem(("a",), "bad"), Problem((), "worse", 7)], "f", LINES)
    assert ["f:2: a: bad", "f:7: worse"] == error.problems
    assert [2, 7] == [found.line for found in error.findings]
