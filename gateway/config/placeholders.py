"""
``${VAR}``, ``${VAR:-default}`` and ``${file:/path}``, filled in after the YAML was parsed.

They stand in text alone, never in keys, and what they give is taken literally: a variable that
holds YAML or another placeholder changes nothing but the text it stands in. ``$${`` is ``${``.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.config.problems import UNREADABLE, KeyPath, Problem

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

ReadFile = Callable[[str], str]
"""The text of a file. Raises `OSError`, or `ValueError` where the file holds no text."""


class _Unfilled(Exception):
    """A placeholder that nothing can be put in for; says why."""


class Filler(NamedTuple):
    """Fills placeholders from ``env`` and files; collects what is missing in ``problems``."""

    env: Mapping[str, str]
    read_file: ReadFile
    problems: list[Problem]

    def fill(self, value: object, path: KeyPath = ()) -> object:
        """``value`` with all text in it filled in; `UNREADABLE` where that is not possible."""
        match value:
            case dict():
                return {key: self.fill(item, (*path, key)) for key, item in value.items()}
            case list():
                return [self.fill(item, (*path, place)) for place, item in enumerate(value)]
            case str():
                return self._text(value, path)
        return value

    def _text(self, text: str, path: KeyPath) -> object:
        try:
            return _PLACEHOLDER.sub(self._put_in, text)
        except _Unfilled as why:
            self.problems.append(Problem(path, str(why)))
            return UNREADABLE

    def _put_in(self, found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        inner = found[1] or ""
        if inner.startswith("file:"):
            return self._file(inner.removeprefix("file:"))
        return self._variable(inner)

    def _variable(self, inner: str) -> str:
        variable = _VARIABLE.fullmatch(inner)
        if variable is None:
            raise _Unfilled(
                "expected ${NAME}, ${NAME:-default} or ${file:/path}; $${ stands for a plain ${"
            )
        name, default = variable.groups()
        if default is None and name not in self.env:
            raise _Unfilled(f"the environment variable {name} is not set")
        # As in a shell: the default is also for a variable that is set to nothing.
        return self.env.get(name) or default or ""

    def _file(self, file: str) -> str:
        if not file.startswith("/"):
            raise _Unfilled("expected ${file:/path} with a path that starts with /")
        try:
            text = self.read_file(file)
        except OSError as error:
            raise _Unfilled(f"cannot read {file}: {error.strerror}") from None
        except ValueError:
            raise _Unfilled(f"cannot read {file}: not a short text in UTF-8") from None
        # Editors and `echo` end a file with a newline that is no part of the secret.
        return text.removesuffix("\n").removesuffix("\r")
