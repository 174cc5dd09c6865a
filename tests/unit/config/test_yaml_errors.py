"""Errors of YAML's syntax, explained; both parsers are understood."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.yaml_errors import explain

PARSERS: list[Any] = [yaml.SafeLoader]
if hasattr(yaml, "CSafeLoader"):
    PARSERS.append(yaml.CSafeLoader)


def explained(text: str, parser: Any) -> str | None:
    """What the operator reads about ``text``; None if it is YAML."""
    try:
        list(yaml.parse(text, parser))
    except yaml.YAMLError as error:
        return explain(error, text).text("f", {})
    return None


TAB = "f:{0}: tab used for indentation, line {0}: use spaces"
INDENT = "f:{0}: indentation of line {0} fits no line above: indent it as the keys beside it"
QUOTES = "put the value in quotes"
OPEN = "the bracket or brace of line {0} is not closed"
COMMAS = "close it, and put commas between its entries"


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.__name__)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a:\n\tb: 1\n", TAB.format(2), id="a-tab"),
        pytest.param("a:\n  b: 1\n\tc: 1\n", TAB.format(3), id="a-tab-after-spaces"),
        pytest.param("a:\n  b: 1\n  \tc: 1\n", TAB.format(3), id="spaces-and-a-tab"),
        pytest.param("a:\n    b: 1\n  c: 2\n", INDENT.format(3), id="between-two-lines"),
        pytest.param("a: 1\n  b: 2\n", INDENT.format(2), id="below-a-value"),
        pytest.param(
            "r:\n  - name: a\n    match: x\n   auth: none\n", INDENT.format(4), id="in-an-item"
        ),
        pytest.param("r:\n  - name: a\n      match: x\n", INDENT.format(3), id="too-deep-in-one"),
        pytest.param("r:\n  - name: a\n - name: b\n", INDENT.format(3), id="the-next-item"),
        pytest.param(
            "a:\n    b: 1\n\n    # a comment\n  c: 2\n", INDENT.format(5), id="after-a-comment"
        ),
        pytest.param("a:\n    b: 1\nc: 1\n  d: 2\n", INDENT.format(4), id="after-another-block"),
        pytest.param("a: b: c\n", f"f:1: a colon and a space within a value: {QUOTES}", id="colon"),
        pytest.param(
            "a: 1\nb: [1, 2\nc: 3\n", f"f:3: {OPEN.format(2)}: {COMMAS}", id="an-open-bracket"
        ),
        pytest.param("a: 1\nb: [", f"f:2: {OPEN.format(2)}: {COMMAS}", id="one-at-the-end"),
        pytest.param("a: {b: 1 c: 2}\n", f"f:1: {OPEN.format(1)}: {COMMAS}", id="no-comma"),
        pytest.param(
            "a: 1\nb: {c: ${D}}",
            f"f:2: {OPEN.format(2)}: within {{ }} and [ ], put ${{…}} in quotes",
            id="a-placeholder-in-braces",
        ),
        pytest.param(
            'a: 1\nb: "x\nc: 1\n', "f:2: a quote that is not closed: close the quote", id="a-quote"
        ),
        pytest.param("a: *\n", f"f:1: a value that begins with * or &: {QUOTES}", id="a-star"),
        pytest.param(
            "a: @x\n", f"f:1: a value that begins with a special character: {QUOTES}", id="an-at"
        ),
        pytest.param(
            'a: "\\q"\n',
            "f:1: an unknown escape in double quotes: use single quotes",
            id="an-escape",
        ),
        pytest.param(
            "a: 1\nfoo\nb: 2\n", "f:2: a line without a colon: write key: value", id="no-colon"
        ),
        pytest.param("a:\n  - b: 1\n    c: 2\n  - d\ne: {f: 1}\n", None, id="none"),
    ],
)
def test_explanations(text: str, parser: Any, expected: str | None) -> None:
    """The operator reads what is wrong on which line, and how to correct it."""
    assert expected == explained(text, parser)


@given(st.text(alphabet="ab:-[]{}'\"#&*!|>%@`\t\n ,?$", max_size=40))
def test_any_error_is_explained(text: str) -> None:
    """Each has a line of the text, whatever is wrong."""
    for parser in PARSERS:
        said = explained(text, parser)
        if said is not None:
            place, _, sentence = said.removeprefix("f:").partition(": ")
            assert 1 <= int(place) <= text.count("\n") + 1
            assert sentence


def test_an_error_without_a_mark() -> None:
    """It is on the first line."""
    assert "f:1: not valid YAML" == explain(yaml.YAMLError(), "a").text("f", {})
