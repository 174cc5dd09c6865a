"""Paths of routes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import paths
from gateway.routing.target import canonical_target


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("/", id="the-root-alone"),
        pytest.param("/*", id="everything"),
        pytest.param("/healthz", id="exact"),
        pytest.param("/docs/", id="exact-with-a-slash-at-its-end"),
        pytest.param("/assets/*", id="a-prefix"),
        pytest.param("/a;v=1/@me/~x", id="signs-that-need-no-escape"),
        pytest.param("/caf%C3%A9/*", id="an-escape-in-canonical-form"),
        pytest.param("/a%2Fb", id="an-encoded-slash"),
        pytest.param("/...", id="three-dots-are-a-name"),
    ],
)
def test_route_path(text: str) -> None:
    """A path is exact, or a prefix that ends in /*."""
    assert text == paths.route_path(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "starts with /", id="nothing"),
        pytest.param("api", "starts with /", id="no-slash"),
        pytest.param("*", "starts with /", id="a-star-alone"),
        pytest.param("/a*", r"with \* only", id="a-star-within-a-segment"),
        pytest.param("/*/a", r"with \* only", id="a-star-in-the-middle"),
        pytest.param("/*/*", r"with \* only", id="two-stars"),
        pytest.param("/**", r"with \* only", id="a-double-star"),
        pytest.param("/a?b", r"without \? and #", id="a-query"),
        pytest.param("/a#b", r"without \? and #", id="a-fragment"),
        pytest.param("//", "empty segment", id="an-empty-segment"),
        pytest.param("/a//*", "empty segment", id="an-empty-segment-before-the-star"),
        pytest.param("/a/../b", "dot segment", id="dots"),
        pytest.param("/./*", "dot segment", id="a-dot"),
        pytest.param("/..;x/b", "dot segment", id="dots-with-parameters"),
        pytest.param("/%2e%2e/b", "dot segment", id="escaped-dots"),
        pytest.param("/%41", "escapes only what it must", id="an-escape-without-need"),
        pytest.param("/%c3%A9", "escapes only what it must", id="an-escape-in-lower-case"),
        pytest.param("/%zz", "stray percent sign", id="no-escape-at-all"),
        pytest.param("/%00", "escaped control character", id="nul"),
        pytest.param("/a b", "character not allowed", id="a-space"),
        pytest.param("/a\\b", "character not allowed", id="a-backslash"),
        pytest.param("/é", "character not allowed", id="not-in-ascii"),
    ],
)
def test_no_route_path(text: str, message: str) -> None:
    """A path that no canonical path can equal is refused: its route would be dead."""
    with pytest.raises(ValueError, match=message):
        paths.route_path(text)


@pytest.mark.parametrize(("text", "expected"), [("/", ""), ("/v2", "/v2"), ("/a/b", "/a/b")])
def test_path_start(text: str, expected: str) -> None:
    """The beginning of a path has no slash at its end, because the rest begins with one."""
    assert expected == paths.path_start(text)


@pytest.mark.parametrize("text", ["", "v2", "/v2/", "//", "/a/../b", "/a?b", "/*"])
def test_no_path_start(text: str) -> None:
    """A beginning that is not canonical is refused: the whole path would not be either."""
    with pytest.raises(ValueError, match=r"expected a path|no request can have"):
        paths.path_start(text)


@given(st.text(alphabet="/.%;*?#aA2eEfF5cC3\\ ", max_size=12).map(lambda tail: f"/{tail}"))
def test_every_exact_path_is_canonical(text: str) -> None:
    """A path is refused, or it equals the canonical path of requests for it."""
    try:
        path = paths.path(text)
    except ValueError:
        return
    assert text == path == canonical_target(text).path


@pytest.mark.parametrize("text", ["/_gateway", "/a/b"])
def test_prefix(text: str) -> None:
    """The prefix of the gateway's own pages is kept as it is."""
    assert text == paths.prefix(text)


@pytest.mark.parametrize("text", ["", "/", "/_gateway/", "_gateway", "/_gateway/*", "/a/../b"])
def test_no_prefix(text: str) -> None:
    """The root, a pattern and a path with a slash at its end are no prefix."""
    with pytest.raises(ValueError, match=r"^expected |^no request"):
        paths.prefix(text)


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param("/_gateway", True, id="the-prefix-itself"),
        pytest.param("/_gateway/*", True, id="all-below-it"),
        pytest.param("/_gateway/login", True, id="a-page"),
        pytest.param("/*", False, id="everything-is-less-specific-than-our-pages"),
        pytest.param("/_gateway-docs", False, id="a-longer-name"),
        pytest.param("/app/_gateway", False, id="below-something-else"),
    ],
)
def test_is_under(route: str, expected: bool) -> None:
    """Only whole segments count."""
    assert paths.is_under(route, "/_gateway") is expected
