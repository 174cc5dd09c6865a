"""
Explain errors of YAML's syntax: the parser's sentences name its own tokens, not the mistake.

Both parsers, libyaml and PyYAML's own, are understood. No sentence shows text of the file, which
may be a secret.
"""

import re
from collections.abc import Mapping

import yaml

from gateway.config.problems import SYNTAX, Problem

_QUOTES = "put the value in quotes"
_CLOSED = "close it, and put commas between its entries"
_IN_QUOTES = "within { } and [ ], put ${…} in quotes"

_SENTENCES: Mapping[str, tuple[str, str]] = {
    "mapping values are not allowed": ("a colon and a space within a value", _QUOTES),
    "unexpected end of stream": ("a quote that is not closed", "close the quote"),
    "alphabetic or numeric character": ("a value that begins with * or &", _QUOTES),
    "cannot start any token": ("a value that begins with a special character", _QUOTES),
    "unknown escape": ("an unknown escape in double quotes", "use single quotes"),
    "could not find expected ':'": ("a line without a colon", "write key: value"),
    "found another document": ("but found another document", "write one document in a file"),
    "aliases are not": ("aliases are not supported", "write the value out"),
    "tags are not": ("tags are not supported", "leave the tag out"),
    "nested too deeply": ("nested too deeply", "use fewer brackets"),
}
"""Message and remedy, by a part of the parser's sentence."""

_OWN = ("not supported", "nested too deeply", "another document")
"""Parts of the sentences of `gateway.config.document`."""

_BEGUN_ABOVE = ("unexpected end of stream", "could not find expected ':'")
"""The mistake is where the parser began to read, and not where it stopped."""


def explain(error: yaml.YAMLError, text: str) -> Problem:
    """Describe ``error``, a syntax error in ``text``, with its line and its remedy."""
    lines = text.split("\n")
    place, begun = (_line(error, name, lines) for name in ("problem_mark", "context_mark"))
    problem = str(getattr(error, "problem", None) or "not valid YAML")
    if not any(own in problem for own in _OWN):
        if (tab := _tab_in_indentation(lines, place)) is not None:
            return _problem(f"tab used for indentation, line {tab + 1}", tab, "use spaces")
        if _is_badly_indented(lines, place):
            message = f"indentation of line {place + 1} fits no line above"
            return _problem(message, place, "indent it as the keys beside it")
    if "flow" in str(getattr(error, "context", "")):
        # The most likely mistake: the brace of a placeholder opens a mapping.
        remedy = _IN_QUOTES if "${" in lines[place] else _CLOSED
        return _problem(f"the bracket or brace of line {begun + 1} is not closed", place, remedy)
    for part, (message, remedy) in _SENTENCES.items():
        if part in problem:
            return _problem(message, begun if part in _BEGUN_ABOVE else place, remedy)
    return _problem(problem, place, "")


def _problem(message: str, place: int, remedy: str) -> Problem:
    return Problem((), message, place + 1, remedy=remedy, code=SYNTAX)


def _line(error: yaml.YAMLError, name: str, lines: list[str]) -> int:
    """Return the place of a mark of ``error``; libyaml counts one line more at the end."""
    mark = getattr(error, name, None)
    return min(int(mark.line), len(lines) - 1) if mark else 0


def _tab_in_indentation(lines: list[str], place: int) -> int | None:
    """Find the line of a tab before a value: that of the error, or the one before it."""
    for at in (place, place - 1):
        if at >= 0 and "\t" in lines[at][: len(lines[at]) - len(lines[at].lstrip())]:
            return at
    return None


def _is_badly_indented(lines: list[str], place: int) -> bool:
    """Whether the line is in none of the blocks that are open above it, and begins none."""
    open_indents: list[int] = []
    before = ""
    for line in lines[:place]:
        if _is_blank(line):
            continue
        indent = _indent(line)
        while open_indents and open_indents[-1] > indent:
            open_indents.pop()
        if not open_indents or open_indents[-1] < indent:
            open_indents.append(indent)
        if (item := re.match(r"( *- +)\S", line)) is not None:  # the keys of an item stand deeper
            open_indents.append(len(item[1]))
        before = line
    line = lines[place]
    if _is_blank(line) or not open_indents or _indent(line) in open_indents:
        return False
    opens_block = before.split(" #")[0].rstrip().endswith((":", "-", "|", ">", "{", "[", ","))
    return _indent(line) < open_indents[-1] or not opens_block


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
