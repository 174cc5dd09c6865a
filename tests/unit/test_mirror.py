"""Each module of the package has a test file of its name, in the same place under tests/unit."""

from pathlib import Path

import pytest

from tools.layers import PACKAGE

ROOMS = ("proxy",)
"""Rooms that are checked."""

UNIT_TESTS = Path(__file__).parent

COVERED_ELSEWHERE = {
    "proxy.downstream.phase": "tests/unit/proxy/downstream/test_connection.py tests its table",
    "proxy.http1.parser": "tests/contract/test_http1.py holds the parsers to what is relied on",
}
"""Modules without a test file of their name, and where they are tested."""


def modules() -> list[str]:
    """The modules of the rooms, by their names inside the package."""
    return [
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for room in ROOMS
        for path in sorted((PACKAGE / room).rglob("*.py"))
        if path.name != "__init__.py"
    ]


def unit_test_of(module: str) -> Path:
    """The test file of the same name."""
    *folders, name = module.split(".")
    return UNIT_TESTS.joinpath(*folders, f"test_{name}.py")


@pytest.mark.parametrize("module", modules())
def test_a_module_has_a_test_file_of_its_name(module: str) -> None:
    """Or it stands in the list, with the reason."""
    assert unit_test_of(module).is_file() is not (module in COVERED_ELSEWHERE)


def test_the_list_names_only_modules_that_exist() -> None:
    """And a test file that exists, too."""
    listed = {name for name in COVERED_ELSEWHERE if name.partition(".")[0] in ROOMS}
    assert set() == listed - set(modules())
    paths = {reason.partition(" ")[0] for reason in COVERED_ELSEWHERE.values()}
    assert [] == [path for path in paths if not (PACKAGE.parent / path).is_file()]
