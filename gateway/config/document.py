"""
Parse YAML to plain data, with the line of each key and of each item of a list.

The dialect is YAML 1.2's core with text, whole numbers, true, false and null: ``no`` is text and
``12:30`` is not 750. Features that a config does not need are refused: tags, aliases, repeated
keys.

libyaml parses the text to events, which are read once: 10 000 routes take 0.15 s. PyYAML's own
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

from gateway.config.problems import REPEATED_KEY, SYNTAX, KeyPath, Problem, invalid
from gateway.config.yaml_errors import explain

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser, which PyYAML's wheels contain; else PyYAML's own."""

_NULL = frozenset({"~", "null", "Null", "NULL", ""})
_FLAGS = {"true": True, "false": False}
_INT = re.compile(r"-?[0-9]{1,18}")

_MAX_DEPTH = 16  # the schema needs 5; unbounded recursion would let a file of brackets crash us


class Document(NamedTuple):
    """One YAML file as plain data."""

    data: object
    lines: dict[KeyPath, int]
    problems: list[Problem]


def read(text: str, name: str) -> Document:
    """Parse ``text``, a file called ``name``. Raises `ConfigError` for invalid YAML."""
    if stray := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, stray.start()) + 1
        problem = Problem((), "a character that YAML does not allow", line, code=SYNTAX)
        raise invalid([problem], name)
    try:
        return _read(text)
    except yaml.YAMLError as error:
        problem = explain(error, text)
    # Raised outside of `except`: a chained PyYAML error would show the text around the fault.
    raise invalid([problem], name)


def _read(text: str) -> Document:
    parser = _PARSER(text)
    parser.get_event()  # start of the stream
    reader = _EventReader(parser.get_event)
    try:
        data = None
        if parser.get_event().__class__ is DocumentStartEvent:
            data = reader.value(parser.get_event(), (), 0)
            parser.get_event()  # end of the document
            if (after := parser.get_event()).__class__ is not StreamEndEvent:
                raise _error("but found another document", after)
    finally:
        parser.dispose()
    return Document(data, reader.lines, reader.problems)


def _error(problem: str, event: Any) -> ComposerError:
    return ComposerError(None, None, problem, event.start_mark)


class _EventReader:
    """Builds data from events, and collects lines and problems."""

    def __init__(self, next_event: Any) -> None:
        self.lines: dict[KeyPath, int] = {(): 1}
        self.problems: list[Problem] = []
        self._next = next_event

    def value(self, event: Any, path: KeyPath, depth: int) -> object:
        """Read the value that begins with ``event``. Raises `ComposerError`."""
        kind = event.__class__
        if kind is AliasEvent:
            raise _error("aliases are not supported", event)
        if event.tag is not None:
            raise _error("tags are not supported", event)
        if depth > _MAX_DEPTH:
            raise _error("nested too deeply", event)
        if path not in self.lines:
            self.lines[path] = event.start_mark.line + 1
        if kind is ScalarEvent:
            return _scalar(event.value) if event.implicit[0] else event.value
        return self._mapping(path, depth) if kind is MappingStartEvent else self._list(path, depth)

    def _list(self, path: KeyPath, depth: int) -> list[object]:
        items: list[object] = []
        while (event := self._next()).__class__ is not SequenceEndEvent:
            items.append(self.value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, object]:
        items: dict[str, object] = {}
        while (event := self._next()).__class__ is not MappingEndEvent:
            line = event.start_mark.line + 1
            key = self._key(event, depth)
            if key is None:
                self.problems.append(
                    Problem(path, f"line {line} has a key that is not text", code=SYNTAX)
                )
                self._skip(self._next(), depth)
                continue
            at = (*path, key)
            if key in items:
                first = self.lines[at]
                self.problems.append(
                    Problem(at, f"written twice, first on line {first}", line, code=REPEATED_KEY)
                )
                self._skip(self._next(), depth)
            else:
                self.lines[at] = line
                items[key] = self.value(self._next(), at, depth + 1)
        return items

    def _key(self, event: Any, depth: int) -> str | None:
        """Read a key; None for one that is a list or a mapping. Raises `ComposerError`."""
        if event.__class__ is ScalarEvent and event.tag is None:
            return str(event.value)
        self._skip(event, depth)
        return None

    def _skip(self, event: Any, depth: int) -> None:
        """Read and drop a value; aliases and tags in it are refused all the same."""
        _EventReader(self._next).value(event, (), depth + 1)


def _scalar(text: str) -> object:
    """Interpret text without quotes."""
    if text in _NULL:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    return int(text) if _INT.fullmatch(text) else text
