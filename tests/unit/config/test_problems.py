"""Problems as text."""

import pytest

from gateway.config.problems import KeyPath, Problem, dotted

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
    ],
)
def test_text(problem: Problem, expected: str) -> None:
    """A problem names file, line and key."""
    assert expected == problem.text("f", LINES)
