"""
YAML text to plain data, remembering on which line each key and each item of a list was written.

The dialect is YAML 1.2's core with text, whole numbers, true, false and null: ``no`` is text and
``12:30`` is not 750. What a config does not need is refused: tags, aliases, keys written twice.

The text is read as events, once, and libyaml makes those: 10 000 routes take 0.15 s. PyYAML's own
nodes took 2.4 s.
"""

import re
from typing import Any, NamedTuple

import yaml
from yaml.composer import ComposerError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from yaml.reader import Reader

from gateway.config.problems import KeyPath, Problem
from gateway.core.errors import ConfigError

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, which PyYAML's wheels hold; PyYAML's own where it was built without."""

_NULL = frozenset({"~", "null", "Null", "NULL", ""})
_FLAGS = {"true": True, "false": False}
_INT = re.compile(r"-?[0-9]{1,18}")

_DEEPEST = 16  # the schema needs 5; reading recurses, so a file of brackets must not


class Document(NamedTuple):
    """One YAML file as plain data."""

    data: object
    lines: dict[KeyPath, int]
    problems: list[Problem]


def read(text: str, name: str) -> Document:
    """The data of ``text``, a file called ``name``. Raises `ConfigError` if it is no YAML."""
    if stray := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, stray.start()) + 1
        raise ConfigError([f"{name}:{line}: a character that YAML does not allow"])
    try:
        return _read(text)
    except yaml.YAMLError as error:
        problem = f"{name}:{_syntax_problem(error, text)}"
    # Raised out here so that PyYAML's error, which shows the text around it, is not chained to it.
    raise ConfigError([problem])


def _syntax_problem(error: yaml.YAMLError, text: str) -> str:
    """Line and fault. PyYAML names single characters and kinds of tokens, no values."""
    mark = getattr(error, "problem_mark", None)
    line = min(mark.line, text.count("\n")) if mark else 0  # libyaml counts one more at the end
    # The likeliest slip: to YAML, the brace of a placeholder opens a mapping within { } and [ ].
    has_placeholder = any("${" in here for here in text.split("\n")[line : line + 1])
    hint = "; within { } and [ ], put ${…} in quotes" if has_placeholder else ""
    return f"{line + 1}: {getattr(error, 'problem', None) or 'not valid YAML'}{hint}"


def _read(text: str) -> Document:
    parser = _PARSER(text)
    parser.get_event()  # the stream begins
    reading = _Reading(parser.get_event)
    try:
        data = None
        if parser.get_event().__class__ is DocumentStartEvent:
            data = reading.value(parser.get_event(), (), 0)
            parser.get_event()  # the document ends
            if (after := parser.get_event()).__class__ is not StreamEndEvent:
                raise _fault("but found another document", after)
    finally:
        parser.dispose()
    return Document(data, reading.lines, reading.problems)


def _fault(problem: str, event: Any) -> ComposerError:
    return ComposerError(None, None, problem, event.start_mark)


class _Reading:
    """Collects lines and problems on the way through the events."""

    def __init__(self, next_event: Any) -> None:
        self.lines: dict[KeyPath, int] = {(): 1}
        self.problems: list[Problem] = []
        self._next = next_event

    def value(self, event: Any, path: KeyPath, depth: int) -> object:
        """What begins with ``event``. Raises `ComposerError`."""
        kind = event.__class__
        if kind is AliasEvent:
            raise _fault("aliases are not supported", event)
        if event.tag is not None:
            raise _fault("tags are not supported", event)
        if depth > _DEEPEST:
            raise _fault("nested too deeply", event)
        if path not in self.lines:
            self.lines[path] = event.start_mark.line + 1
        if kind is ScalarEvent:
            return _scalar(event.value) if event.implicit[0] else event.value
        return self._mapping(path, depth) if kind is MappingStartEvent else self._list(path, depth)

    def _list(self, path: KeyPath, depth: int) -> list[object]:
        found: list[object] = []
        while (event := self._next()).__class__ is not SequenceEndEvent:
            found.append(self.value(event, (*path, len(found)), depth + 1))
        return found

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while (event := self._next()).__class__ is not MappingEndEvent:
            line = event.start_mark.line + 1
            key = self._key(event, depth)
            if key is None:
                self.problems.append(Problem(path, f"line {line} has a key that is no text"))
                self._pass_over(self._next(), depth)
                continue
            at = (*path, key)
            if key in found:
                first = self.lines[at]
                self.problems.append(Problem(at, f"written twice, first on line {first}", line))
                self._pass_over(self._next(), depth)
            else:
                self.lines[at] = line
                found[key] = self.value(self._next(), at, depth + 1)
        return found

    def _key(self, event: Any, depth: int) -> str | None:
        """A key's text; None where it has none. Raises `ComposerError`."""
        if event.__class__ is ScalarEvent and event.tag is None:
            return str(event.value)
        self._pass_over(event, depth)
        return None

    def _pass_over(self, event: Any, depth: int) -> None:
        """Read what is of no use, by the same rules."""
        _Reading(self._next).value(event, (), depth + 1)


def _scalar(text: str) -> object:
    """What text without quotes stands for."""
    if text in _NULL:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    return int(text) if _INT.fullmatch(text) else text
