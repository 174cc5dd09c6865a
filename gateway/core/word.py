"""Words of closed lists, each with what it means: logs, metrics and documentation share them."""

from enum import StrEnum
from typing import Self


class WordWithMeaning(StrEnum):
    """A word and its meaning; each sub-class is one list."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member
