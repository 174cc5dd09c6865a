"""The words of the package: plain technical English, which names who or what is meant."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.layers import PACKAGE

FILES = sorted(PACKAGE.rglob("*.py"))

VAGUE_WORDS = (
    "anybody",
    "mended",
    "nobody",
    "somebody",
    "someone",
    "whoever",
    "whom",
)
"""Words that leave open who or what is meant: a caller, a client, an operator, an app …"""

_VAGUE = re.compile(rf"(?<![\w-])(?:{'|'.join(VAGUE_WORDS)})(?![\w-])", re.IGNORECASE)
"""Codes such as ``role-nobody-has`` are names, which stay."""

_PROSE = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
"""Docstrings, messages and comments; FSTRING_MIDDLE is the text of f-strings from Python 3.12."""


def vague(source: str) -> Iterator[str]:
    """Find vague words in the docstrings, messages and comments of ``source``."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _PROSE:
            for match in _VAGUE.finditer(token.string):
                line = token.start[0] + token.string.count("\n", 0, match.start())
                yield f"{line}: {match[0]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_text_of_the_package_is_vague(path: Path) -> None:
    """Docstrings, comments and messages say who or what is meant."""
    assert [] == list(vague(path.read_text("utf-8")))


def test_vague_words_are_found_where_they_stand() -> None:
    """The test above can fail: in docstrings over several lines, comments and messages."""
    source = '"""First.\n\nSomebody asks.\n"""\nx = 1  # whoever reads this\nprint("for nobody")\n'
    assert ["3: Somebody", "5: whoever", "6: nobody"] == list(vague(source))
    assert [] == list(vague("nobody = 'a bodyguard'\n"))
