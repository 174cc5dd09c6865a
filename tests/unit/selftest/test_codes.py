"""The table of codes."""

import re
from pathlib import Path

import pytest

import gateway.selftest
from gateway.selftest.codes import KINDS, kind_of
from tests.unit.selftest.bad_configs import BAD

ROOT = Path(__file__).parents[3]
ROOM = Path(gateway.selftest.__path__[0])
ATTACKS = ROOM / "attacks"
_FOUND = re.compile(r'found\(\s*"([a-z-]+)"|return "([a-z-]+)", ')
_WAY = re.compile(r'(?:yield|return|Reading\()\s*"([a-z-]+)"')


@pytest.mark.parametrize("code", sorted({code for code, _ in BAD.values()}))
def test_each_bad_config_has_a_remedy(code: str) -> None:
    """A finding says what it means, and what to do."""
    assert kind_of(code).meaning
    assert kind_of(code).remedy


def test_every_code_that_is_found_is_in_the_table() -> None:
    """No finding lacks a remedy."""
    found = [pair for path in ATTACKS.glob("*.py") for pair in _FOUND.findall(path.read_text())]
    codes = {code for pair in found for code in pair if code}
    assert {"cors-foreign", "request-smuggled", "address-spoofed"} <= codes
    assert [] == sorted(code for code in codes if code not in KINDS)


def test_every_way_of_reading_is_in_the_table() -> None:
    """Each way of the oracle has a code of its own."""
    text = (ROOM / "readings.py").read_text() + (ROOM / "places.py").read_text()
    ways = set(_WAY.findall(text))
    assert {"case", "other-host", "suffix"} <= ways
    assert [] == sorted(way for way in ways if f"reached-by-{way}" not in KINDS)


def test_other_callers_share_the_kinds() -> None:
    """A check that passes, and a caller that is refused, have the remedies of the same ways."""
    assert kind_of("reached-by-case") == kind_of("check-reached-by-case")
    assert kind_of("reached-by-case") == kind_of("rights-bypassed-by-case")


def test_the_page_lists_every_code() -> None:
    """Each code stands in its table, with its remedy."""
    assert codes_table() in (ROOT / "docs" / "selftest.md").read_text()


def codes_table() -> str:
    """The table of codes, as docs/selftest.md shows it."""
    lines = [f"| `{code}` | {kind.meaning} | {kind.remedy} |" for code, kind in KINDS.items()]
    return "\n".join(["| code | what it means | remedy |", "|---|---|---|", *lines]) + "\n"
