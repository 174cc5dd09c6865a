"""Parsing of YAML to plain data with line numbers."""

from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import document
from gateway.core.errors import ConfigError


def test_lines() -> None:
    """Every key and every item of a list has its line."""
    read = document.read(
        dedent("""\
            # a comment
            server:
              listen:
                - a
                - b
              max: {fields: 1,
                    body: 2}
            """),
        "f",
    )
    assert read.data == {"server": {"listen": ["a", "b"], "max": {"fields": 1, "body": 2}}}
    assert read.problems == []
    assert read.lines == {
        (): 1,
        ("server",): 2,
        ("server", "listen"): 3,
        ("server", "listen", 0): 4,
        ("server", "listen", 1): 5,
        ("server", "max"): 6,
        ("server", "max", "fields"): 6,
        ("server", "max", "body"): 7,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("no", "no", id="no-is-text"),
        pytest.param("on", "on", id="on-is-text"),
        pytest.param("True", "True", id="only-lower-case-is-true"),
        pytest.param("true", True, id="true"),
        pytest.param("false", False, id="false"),
        pytest.param("12:30", "12:30", id="no-sexagesimal-numbers"),
        pytest.param("010", 10, id="no-octal-numbers"),
        pytest.param("-5", -5, id="a-negative-number"),
        pytest.param("1_000", "1_000", id="no-underscores-in-numbers"),
        pytest.param("1.5", "1.5", id="no-fractions"),
        pytest.param("2026-01-01", "2026-01-01", id="no-dates"),
        pytest.param("9" * 40, "9" * 40, id="a-huge-number-is-text"),
        pytest.param("'5'", "5", id="quoted"),
        pytest.param("~", None, id="null"),
        pytest.param("", None, id="nothing"),
        pytest.param("<<", "<<", id="no-merge-keys"),
    ],
)
def test_scalars(text: str, expected: object) -> None:
    """Unquoted text is a whole number, true, false, null or text; no other type is guessed."""
    assert document.read(f"key: {text}", "f").data == {"key": expected}


def test_keys_are_text() -> None:
    """A key is text, whatever it looks like."""
    assert document.read("1: a\ntrue: b\n~: c", "f").data == {"1": "a", "true": "b", "~": "c"}


def test_empty_file() -> None:
    """An empty file is no data."""
    assert document.read("# nothing\n", "f") == (None, {(): 1}, [])


def test_repeated_keys() -> None:
    """The second of two equal keys is reported with its line; the first one counts."""
    read = document.read("a: 1\nb: 2\na: 3\n", "f")
    assert read.data == {"a": 1, "b": 2}
    (problem,) = read.problems
    assert problem.text("f", read.lines) == "f:3: a: written twice, first on line 1"


def test_keys_that_are_no_text() -> None:
    """A key that is a list or a mapping is reported."""
    read = document.read("a: 1\n? [b]\n: 2\n", "f")
    (problem,) = read.problems
    assert problem.text("f", read.lines) == "f:1: line 2 has a key that is not text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: 1\nb: [", r"^f:2: \S", id="a-bracket-left-open"),
        pytest.param("a:\n\t- b", r"^f:2: \S", id="a-tab"),
        pytest.param("a: 1\n---\nb: 2", r"^f:2: but found another document", id="two-documents"),
        pytest.param("a: &x 1\nb: *x", r"^f:2: aliases are not supported", id="an-alias"),
        pytest.param("a: &x [*x]", r"^f:1: aliases are not supported", id="an-endless-alias"),
        pytest.param("a: 1\nb: !!python/name:os.system", r"^f:2: tags are not", id="a-python-tag"),
        pytest.param("a: !!int x", r"^f:1: tags are not supported", id="a-tag-that-lies"),
        pytest.param(
            "a: 1\nb: {c: ${D}}",
            r"^f:2: .*put \$\{…\} in quotes",
            id="a-bare-placeholder-in-braces",
        ),
        pytest.param("[" * 18 + "]" * 18, r"^f:1: nested too deeply", id="eighteen-brackets"),
        pytest.param("[" * 10_000, r"^f:1: \S", id="ten-thousand-brackets"),
        pytest.param("a: 1\nb: \x00", r"^f:2: a character that YAML does not", id="nul"),
    ],
)
def test_no_yaml(text: str, message: str) -> None:
    """Invalid YAML, and YAML features that a config does not need, are refused with the line."""
    with pytest.raises(ConfigError, match=message) as caught:
        document.read(text, "f")
    assert caught.value.__cause__ is caught.value.__context__ is None


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text is either parsed or refused as a config error."""
    try:
        read = document.read(text, "f")
    except ConfigError as error:
        assert len(error.problems) == 1  # noqa: PT017 - that it raises is not the claim
    else:
        assert all(line >= 1 for line in read.lines.values())


def test_unknown_yaml_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of PyYAML without a place is reported for the first line."""

    def fail(text: str) -> None:
        raise yaml.YAMLError

    monkeypatch.setattr(document, "_PARSER", fail)
    with pytest.raises(ConfigError, match=r"^f:1: not valid YAML$"):
        document.read("", "f")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: [1, {b: ~}]\n'c': 'no'\nd: |\n  e\n", id="data"),
        pytest.param("# nothing\n", id="nothing"),
        pytest.param("a: 1\n? [b]\n: 2\na: 3\n", id="faulty-keys"),
    ],
)
def test_without_libyaml(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's own parser, used where libyaml is missing, gives the same result."""
    expected = document.read(text, "f")
    monkeypatch.setattr(document, "_PARSER", yaml.SafeLoader)
    assert document.read(text, "f") == expected


def test_skipped_values_are_checked() -> None:
    """The value of an invalid key is dropped, but an alias in it is still refused."""
    with pytest.raises(ConfigError, match=r"^f:3: aliases are not supported"):
        document.read("a: 1\nb: 2\na: [*x]\n", "f")


def test_keys_have_no_tags() -> None:
    """A tag cannot make a key something other than text."""
    with pytest.raises(ConfigError, match=r"^f:1: tags are not supported"):
        document.read("!!str a: 1\n", "f")
