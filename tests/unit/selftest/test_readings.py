"""How apps read a request line."""

import pytest

from gateway.selftest.readings import Reading, readings


def by_way(method: str, target: str) -> dict[str, Reading]:
    """The readings of a request line, by what an app does."""
    return {reading.way: reading for reading in readings(method, target)}


@pytest.mark.parametrize(
    ("target", "way", "path"),
    [
        ("/admin/x", "", "/admin/x"),
        ("/%61dmin", "", "/admin"),
        ("/public%2Fx", "", "/public%2Fx"),
        ("/public%2F..%2Fadmin", "encoded-slash", "/admin"),
        ("/public%5C..%5Cadmin", "backslash", "/admin"),
        ("/public/../admin/", "dot-segments", "/admin/"),
        ("//admin", "dot-segments", "/admin"),
        ("/%2561dmin", "double-decoding", "/admin"),
        ("/admin;x=y/z", "parameters", "/admin/z"),
        ("/ADMIN", "case", "/admin"),
        ("/%EF%BD%81dmin", "unicode-folding", "/admin"),
        ("/admin.json", "suffix", "/admin"),
        ("/admin./x", "trailing-dot", "/admin/x"),
        ("/admin.php/x", "path-info", "/admin.php"),
    ],
)
def test_reading(target: str, way: str, path: str) -> None:
    """A path is read in each way in which some app reads it."""
    assert path == by_way("GET", target)[way].path


def test_a_plain_path_has_one_reading() -> None:
    """What all apps read alike is yielded once."""
    assert [Reading("", "GET", "/admin/x")] == list(readings("GET", "/admin/x?a=b"))


def test_method_override() -> None:
    """A POST may name another method in its query; a GET may not."""
    assert "DELETE" == by_way("POST", "/x?_method=delete")["method-override"].method
    assert "method-override" not in by_way("GET", "/x?_method=delete")
