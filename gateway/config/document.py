"""
YAML text to plain data, remembering on which line each key and each item of a list was written.

The dialect is YAML 1.2's core with text, whole numbers, true, false and null: ``no`` is text and
``12:30`` is not 750. What a config does not need is refused: tags, aliases, keys written twice.
"""

import re
from typing import Any, NamedTuple

import yaml
from yaml.composer import ComposerError
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.reader import ReaderError

from gateway.config.problems import Path, Problem
from gateway.errors import ConfigError

_INT = "tag:yaml.org,2002:int"
_BOOL = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"

_DEEPEST = 16  # the schema needs 5; the composer recurses, so a file of brackets must not


class Document(NamedTuple):
    """One YAML file as plain data."""

    data: object
    lines: dict[Path, int]
    problems: list[Problem]


class _Loader(yaml.SafeLoader):
    """Composes nodes alone: nothing is constructed from a tag."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own declaration; filled below

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call] # PyYAML's stubs
        mark = event.start_mark
        if self.check_event(AliasEvent):
            raise ComposerError(None, None, "aliases are not supported", mark)
        if event.tag is not None:
            raise ComposerError(None, None, "tags are not supported", mark)
        if self.depth > _DEEPEST:
            raise ComposerError(None, None, "nested too deeply", mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_BOOL, re.compile(r"(?:true|false)\Z"), ["t", "f"])
_Loader.add_implicit_resolver(_INT, re.compile(r"-?[0-9]{1,18}\Z"), list("-0123456789"))


def read(text: str, name: str) -> Document:
    """The data of ``text``, a file called ``name``. Raises `ConfigError` if it is no YAML."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problem = f"{name}:{_syntax_problem(error, text)}"
    else:
        walk = _Walk()
        data = walk.value(root, ()) if root else None
        return Document(data, walk.lines, walk.problems)
    # Raised out here so that PyYAML's error, which shows the text around it, is not chained to it.
    raise ConfigError([problem])


def _syntax_problem(error: yaml.YAMLError, text: str) -> str:
    """Line and fault. PyYAML names single characters and kinds of tokens, no values."""
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position)
        return f"{line + 1}: a character that YAML does not allow"
    mark = getattr(error, "problem_mark", None)
    line = mark.line if mark else 0
    # The likeliest slip: to YAML, the brace of a placeholder opens a mapping within { } and [ ].
    has_placeholder = any("${" in here for here in text.split("\n")[line : line + 1])
    hint = "; within { } and [ ], put ${…} in quotes" if has_placeholder else ""
    return f"{line + 1}: {getattr(error, 'problem', None)}{hint}"


class _Walk:
    """Collects lines and problems on the way through the nodes."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {(): 1}
        self.problems: list[Problem] = []

    def value(self, node: Node, path: Path) -> object:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        return [self.value(item, (*path, place)) for place, item in enumerate(node.value)]

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self.problems.append(Problem(path, f"line {line} has a key that is no text"))
            elif key.value in found:
                first = self.lines[*path, key.value]
                at = (*path, key.value)
                self.problems.append(Problem(at, f"written twice, first on line {first}", line))
            else:
                self.lines[*path, key.value] = line
                found[key.value] = self.value(value, (*path, key.value))
        return found


def _scalar(node: ScalarNode) -> object:
    match node.tag:
        case "tag:yaml.org,2002:int":
            return int(node.value)
        case "tag:yaml.org,2002:bool":
            return node.value == "true"
        case "tag:yaml.org,2002:null":
            return None
    return node.value
