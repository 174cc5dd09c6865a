"""Which request methods go to apps."""

import re
from pathlib import Path

import pytest

from gateway.core.method import KNOWN_METHODS, UNFORWARDED, is_forwardable

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("method", ["GET", "FOO", "M-SEARCH", "GET_PARAMETER", "A1.B!", "A" * 64])
def test_upper_case_tokens_may_go_to_an_app(method: str) -> None:
    """Known or not."""
    assert is_forwardable(method)


@pytest.mark.parametrize(
    "method", ["", "get", "Get", "FOo", "trace", "CONNECT", "TRACE", "A B", "A:", "Ä", "A" * 65]
)
def test_no_other_text_does(method: str) -> None:
    """An app that folds case would read another method than the rules."""
    assert not is_forwardable(method)


def test_methods_that_are_never_forwarded_are_known() -> None:
    """So the parser reads them, and the gateway says why it refuses."""
    assert UNFORWARDED < KNOWN_METHODS


def test_the_documentation_lists_the_methods() -> None:
    """All that go to apps without being listed in the config."""
    page = (ROOT / "docs" / "proxying.md").read_text()
    (bullet,) = re.findall(
        r"^- All methods that are in use: (.*?) Others", page, re.DOTALL | re.MULTILINE
    )
    assert KNOWN_METHODS - UNFORWARDED == set(re.findall(r"`([A-Z-]+)`", bullet))
