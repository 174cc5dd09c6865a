"""The texts of the gateway's own pages."""

import re

import pytest

from gateway.config.page_texts import TEXTS

PLACEHOLDERS = {"name", "to", "wait", "day", "time", "browser", "system"}


@pytest.mark.parametrize("key", TEXTS)
def test_keys_can_be_written_in_a_config(key: str) -> None:
    """A key is one word of lower-case letters, as in ``login.texts``."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", key)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_texts_are_plain_sentences_on_one_line(text: str) -> None:
    """A text holds no markup, no line break, and only placeholders that the pages fill in."""
    assert text == text.strip() != ""
    assert text.isprintable()
    assert not set("<>&") & set(text)
    assert set(re.findall(r"\{([^}]*)\}", text)) <= PLACEHOLDERS
    assert text.count("{") == text.count("}") == len(re.findall(r"\{[^}]*\}", text))
