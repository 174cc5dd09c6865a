"""Static files: how they are read, named, compressed and answered with."""

import gzip

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.util.static_files import StaticFile, read_static, static_file, version_of

SHORT, LONG = b"x", b"x" * 1000


def _response(file: StaticFile, accepted: str, status: int = 200) -> web.Response:
    request = make_mocked_request("GET", "/", headers={"Accept-Encoding": accepted})
    return file.response(request, {"Cache-Control": "no-store"}, status)


def test_compression() -> None:
    """Only where it helps."""
    assert b"" == static_file("a.js", SHORT).gzipped
    assert len(static_file("a.js", LONG).gzipped) < 100
    assert LONG == gzip.decompress(static_file("a.js", LONG).gzipped)


def test_the_ending_says_what_a_file_holds() -> None:
    """Text is UTF-8; an ending that is not known is a mistake of ours."""
    assert "text/css; charset=utf-8" == static_file("vendor/a.min.css", b"").content_type
    assert "image/webp" == static_file("logo.webp", b"").content_type
    with pytest.raises(KeyError):
        static_file("a.exe", b"")


def test_a_package_is_read_with_its_folders() -> None:
    """Records and licences stay at home."""
    for package in ("gateway.admin", "gateway.pages"):
        names = read_static(package).keys()
        assert any(name.startswith("vendor/") and name.endswith(".js") for name in names)
        assert not any(name.endswith(("json", "LICENSE")) for name in names)


def test_the_version_changes_with_each_name_and_each_body() -> None:
    """Not with the order; and what moves from one file to the next is a change."""
    version = version_of({"a": b"1", "b": b"2"})
    assert version == version_of({"b": b"2", "a": b"1"})
    others = ({"a": b"1", "b": b"3"}, {"a": b"1", "c": b"2"}, {"a": b"12", "b": b""}, {"a": b"1"})
    assert len({version, *map(version_of, others)}) == 5


@pytest.mark.parametrize("accepted", ["gzip, br", ""])
def test_an_answer_is_compressed_for_a_browser_that_takes_it(accepted: str) -> None:
    """Caches are told that there are two forms of it."""
    answer = _response(static_file("a.js", LONG), accepted, 401)
    assert "Accept-Encoding" == answer.headers["Vary"]
    assert ("gzip" if accepted else None) == answer.headers.get("Content-Encoding")
    assert isinstance(answer.body, bytes)
    assert LONG == (gzip.decompress(answer.body) if accepted else answer.body)
    assert (401, "text/javascript") == (answer.status, answer.content_type)
    assert "no-store" == answer.headers["Cache-Control"]


def test_a_short_file_has_one_form() -> None:
    """It is sent as it is, and its answer varies by nothing."""
    answer = _response(static_file("a.js", SHORT), "gzip")
    assert (200, SHORT) == (answer.status, answer.body)
    assert not {"Vary", "Content-Encoding"} & answer.headers.keys()
