"""Placeholders: variables, defaults, files and escapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.placeholders import Filler
from gateway.config.problems import UNREADABLE, Problem

ENV = {"NAME": "value", "EMPTY": "", "NESTED": "${NAME}", "YAML": "a: [1]"}


def read_file(path: str) -> str:
    """Stand in for files with and without newlines at their end, and unreadable ones."""
    match path:
        case "/secret":
            return "s3cret\n"
        case "/windows":
            return "s3cret\r\n"
        case "/two-lines":
            return "one\n\n"
        case "/binary":
            raise UnicodeDecodeError("utf-8", b"s3cret\xff", 6, 7, "invalid start byte")
    raise FileNotFoundError(2, "No such file or directory", path)


def fill(text: object) -> tuple[object, list[Problem]]:
    filler = Filler(ENV, read_file, [])
    return filler.fill(text), filler.problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("${NAME}", "value", id="a-variable"),
        pytest.param("a ${NAME} b ${NAME}", "a value b value", id="variables-within-text"),
        pytest.param("${EMPTY}", "", id="a-variable-that-is-set-to-nothing"),
        pytest.param("${MISSING:-x y}", "x y", id="a-default"),
        pytest.param("${MISSING:-}", "", id="an-empty-default"),
        pytest.param("${EMPTY:-x}", "x", id="a-default-for-an-empty-variable-as-in-a-shell"),
        pytest.param("${NAME:-x}", "value", id="a-default-that-is-not-needed"),
        pytest.param("${MISSING:-a:-b\nc}", "a:-b\nc", id="a-default-with-odd-signs"),
        pytest.param("${file:/secret}", "s3cret", id="a-file-without-its-last-newline"),
        pytest.param("${file:/windows}", "s3cret", id="a-file-from-windows"),
        pytest.param("${file:/two-lines}", "one\n", id="one-newline-is-taken-not-two"),
        pytest.param("$${NAME}", "${NAME}", id="an-escaped-placeholder"),
        pytest.param("$NAME $ {NAME} $$", "$NAME $ {NAME} $$", id="dollars-that-mean-nothing"),
        pytest.param("${NESTED}", "${NAME}", id="what-was-put-in-is-not-looked-at-again"),
        pytest.param("${YAML}", "a: [1]", id="what-was-put-in-is-text"),
        pytest.param(5, 5, id="a-number"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_filled(text: object, expected: object) -> None:
    """Placeholders in text are filled in, once."""
    assert (expected, []) == fill(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("${MISSING}", "variable MISSING is not set", id="a-missing-variable"),
        pytest.param("${file:/none}", "cannot read /none: No such file", id="a-missing-file"),
        pytest.param("${file:/binary}", "cannot read /binary: not a short text", id="no-text"),
        pytest.param("${file:secret}", "path that starts with /", id="a-relative-path"),
        pytest.param("${}", "expected ${NAME}", id="an-empty-placeholder"),
        pytest.param("${NAME", "expected ${NAME}", id="a-brace-left-open"),
        pytest.param("${1NAME}", "expected ${NAME}", id="no-name-of-a-variable"),
        pytest.param("${NAME-x}", "expected ${NAME}", id="another-shell-notation"),
    ],
)
def test_unfilled(text: str, message: str) -> None:
    """A placeholder that cannot be filled is reported with its place, and marks the value."""
    value, problems = fill({"a": ["ok", text]})
    assert value == {"a": ["ok", UNREADABLE]}
    ((path, found, *_),) = problems
    assert path == ("a", 1)
    assert message in found
    assert "s3cret" not in found


def test_keys_are_left_alone() -> None:
    """A placeholder in a key is plain text."""
    assert fill({"${NAME}": "${NAME}"}) == ({"${NAME}": "value"}, [])


@given(st.text())
def test_escaping(text: str) -> None:
    """Any text can be escaped so that its value is the text."""
    assert (text, []) == fill(text.replace("${", "$${"))


@given(st.text())
def test_values_are_literal(value: str) -> None:
    """The value of a variable is inserted unchanged."""
    filler = Filler({"V": value}, read_file, [])
    assert filler.fill("<${V}>") == f"<{value}>"
