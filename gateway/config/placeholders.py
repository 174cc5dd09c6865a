"""
Placeholders: ``${VAR}``, ``${VAR:-default}`` and ``${file:/path}``, filled in after YAML parsing.

They work in text only, not in keys. Their values are literal: YAML or another placeholder in a
variable is not interpreted (no injection). ``$${`` stands for a plain ``${``.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.config.problems import PLACEHOLDER, UNREADABLE, UNSET_VARIABLE, KeyPath, Problem

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

ReadFile = Callable[[str], str]
"""Returns the text of a file. Raises `OSError`, or `ValueError` for a file that is not text."""


class _PlaceholderError(Exception):
    """A placeholder that cannot be filled in; the message says why."""

    code = PLACEHOLDER


class _UnsetVariableError(_PlaceholderError):
    """A variable of the environment that is not set."""

    code = UNSET_VARIABLE


class Filler(NamedTuple):
    """Fills placeholders from ``env`` and files; adds those that it cannot fill to ``problems``."""

    env: Mapping[str, str]
    read_file: ReadFile
    problems: list[Problem]

    def fill(self, value: object, path: KeyPath = ()) -> object:
        """Fill all text in ``value``; `UNREADABLE` replaces text that cannot be filled."""
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
            return _PLACEHOLDER.sub(self._value, text)
        except _PlaceholderError as error:
            self.problems.append(Problem(path, str(error), code=error.code))
            return UNREADABLE

    def _value(self, placeholder: re.Match[str]) -> str:
        if placeholder[0] == "$${":
            return "${"
        inner = placeholder[1] or ""
        if inner.startswith("file:"):
            return self._file(inner.removeprefix("file:"))
        return self._variable(inner)

    def _variable(self, inner: str) -> str:
        variable = _VARIABLE.fullmatch(inner)
        if variable is None:
            raise _PlaceholderError(
                "expected ${NAME}, ${NAME:-default} or ${file:/path}; $${ stands for a plain ${"
            )
        name, default = variable.groups()
        if default is None and name not in self.env:
            raise _UnsetVariableError(f"the environment variable {name} is not set")
        # As in a shell, the default also replaces an empty variable.
        return self.env.get(name) or default or ""

    def _file(self, file: str) -> str:
        if not file.startswith("/"):
            raise _PlaceholderError("expected ${file:/path} with a path that starts with /")
        try:
            text = self.read_file(file)
        except OSError as error:
            raise _PlaceholderError(f"cannot read {file}: {error.strerror}") from None
        except ValueError:
            raise _PlaceholderError(f"cannot read {file}: not a short text in UTF-8") from None
        # Editors and `echo` end a file with a newline that is not part of the secret.
        return text.removesuffix("\n").removesuffix("\r")
