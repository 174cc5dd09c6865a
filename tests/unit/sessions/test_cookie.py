"""The session cookie's Set-Cookie values."""

import string
from http.cookies import SimpleCookie

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.sessions.cookie import Cookie

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no fault of ours."""

SAFE = string.ascii_letters + string.digits + "-_"


def test_a_cookie_over_https_is_secure() -> None:
    """It is for the whole host, HttpOnly and SameSite."""
    cookie = Cookie("__Host-session", secure=True)

    assert "__Host-session=abc; Max-Age=900; Path=/; HttpOnly; SameSite=Lax; Secure" == cookie.set(
        "abc", 900
    )


def test_a_cookie_over_http_is_not_secure() -> None:
    """It has a name without prefix."""
    assert "session=abc; Max-Age=900; Path=/; HttpOnly; SameSite=Lax" == Cookie(
        "session", secure=False
    ).set("abc", 900)


def test_clearing_uses_the_same_attributes() -> None:
    """A browser deletes a cookie only if path and prefix rules fit."""
    assert (
        "__Host-s=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"
        == Cookie("__Host-s", secure=True).clear()
    )


def test_an_expired_session_has_max_age_0() -> None:
    """A negative Max-Age is a syntax error for some."""
    assert "Max-Age=0;" in Cookie("s", secure=True).set("x", -5)


@pytest.mark.parametrize("name", ["__Host-session", "__host-session", "__Secure-session"])
def test_a_secure_prefix_needs_https(name: str) -> None:
    """Browsers would drop the cookie, and every login would seem to fail."""
    with pytest.raises(ValueError, match="https"):
        Cookie(name, secure=False)


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a\r\nb", "ä", "a\n", '"a"'])
def test_a_name_is_a_token(name: str) -> None:
    """RFC 9110's token, and no other text."""
    with pytest.raises(ValueError, match="name"):
        Cookie(name, secure=True)


@pytest.mark.parametrize("value", ["a b", "a;b", "a,b", "a\r\nX: y", "ä", "a\n", '"a"', "a\\b"])
def test_a_value_cannot_become_an_attribute(value: str) -> None:
    """Header injection is refused."""
    with pytest.raises(ValueError, match="value"):
        Cookie("s", secure=True).set(value, 1)


@patient
@given(st.text(SAFE, min_size=1), st.text(SAFE), st.integers(0, 10**9))
def test_other_parsers_read_the_same_cookie(name: str, value: str, max_age_s: int) -> None:
    """The standard library's parser finds one cookie with these attributes."""
    jar: SimpleCookie = SimpleCookie()
    jar.load(Cookie("x" + name, secure=True).set(value, max_age_s))

    [morsel] = jar.values()
    assert ("x" + name, value) == (morsel.key, morsel.value)
    assert (str(max_age_s), "/", "Lax", "") == tuple(
        morsel[attribute] for attribute in ("max-age", "path", "samesite", "domain")
    )
    assert morsel["secure"]
    assert morsel["httponly"]


# --- cookies that others have set in our name ---------------------------------------------------


def cleared(host: str, path: str, name: str = "session") -> set[tuple[str, str]]:
    """Domain, empty for none, and path of what is forgotten."""
    found = set()
    for value in Cookie(name, secure=False).clear_foreign(host, path):
        (morsel,) = SimpleCookie(value).values()
        assert (name, "", "0") == (morsel.key, morsel.value, morsel["max-age"])
        found.add((morsel["domain"], morsel["path"]))
    return found


def test_all_foreign_cookies_of_our_name_are_cleared() -> None:
    """Whatever their domain and path; ours has no domain and the path /."""
    assert {
        (domain, path)
        for domain in ("", "a.b.example", "b.example")
        for path in ("/", "/x", "/x/", "/x/y")
    } - {("", "/")} == cleared("a.b.example", "/x/y")


@pytest.mark.parametrize(
    ("host", "domains"),
    [
        ("localhost", {""}),
        ("example.com", {"", "example.com"}),
        ("127.0.0.1", {""}),
        ("[::1]", {""}),
        ("a;b", {""}),
        ("", {""}),
    ],
)
def test_only_parent_domains_are_tried(host: str, domains: set[str]) -> None:
    """An IP address has none, and a top-level domain is not tried."""
    assert domains == {domain for domain, _ in cleared(host, "/x")}


@pytest.mark.parametrize("path", ["*", "http://a/b", "/a;Domain=evil", "/a b", "/\u00e9", "/\r\n"])
def test_a_path_that_would_end_an_attribute_is_not_written(path: str) -> None:
    """The target is under the client's control."""
    assert {"/"} == {below for _, below in cleared("a.example", path)}


def test_a_host_prefix_needs_no_clearing() -> None:
    """Browsers refuse foreign ``__Host-`` cookies."""
    assert () == Cookie("__Host-session", secure=True).clear_foreign("a.example", "/x")


labels = st.text("ab", min_size=1, max_size=2)


@patient
@given(st.lists(labels, max_size=12), st.lists(labels, max_size=40), st.booleans())
def test_the_number_of_lines_is_bounded(
    names: list[str], segments: list[str], ends_in_slash: bool
) -> None:
    """The likeliest domains and paths come first."""
    path = "/" + "/".join(segments) + ("/" if segments and ends_in_slash else "")
    host = ".".join([*names, "b", "example"])
    lines = Cookie("session", secure=True).clear_foreign(host, path)

    assert len(lines) <= 32
    assert ("b.example", "/") in cleared(host, path) or len(names) > 12
    for value in lines:
        assert value.startswith("session=; Max-Age=0; Path=/")
        assert "; Secure" in value
