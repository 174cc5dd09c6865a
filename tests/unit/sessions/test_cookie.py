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


def test_a_cookie_over_https() -> None:
    """It is for the whole host, for no script, for no other site, and for https alone."""
    cookie = Cookie("__Host-session", secure=True)

    assert "__Host-session=abc; Max-Age=900; Path=/; HttpOnly; SameSite=Lax; Secure" == cookie.set(
        "abc", 900
    )


def test_a_cookie_over_http() -> None:
    """Without https it cannot be Secure, and says so by its plain name."""
    assert "session=abc; Max-Age=900; Path=/; HttpOnly; SameSite=Lax" == Cookie(
        "session", secure=False
    ).set("abc", 900)


def test_clearing_names_the_same_cookie() -> None:
    """A browser forgets a cookie only if path and prefix rules fit."""
    assert (
        "__Host-s=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"
        == Cookie("__Host-s", secure=True).clear()
    )


def test_a_session_that_has_ended_has_no_age() -> None:
    """A negative Max-Age would be a syntax error for some."""
    assert "Max-Age=0;" in Cookie("s", secure=True).set("x", -5)


@pytest.mark.parametrize("name", ["__Host-session", "__host-session", "__Secure-session"])
def test_a_name_that_promises_https_needs_it(name: str) -> None:
    """Browsers would drop the cookie, and every login would seem to fail."""
    with pytest.raises(ValueError, match="https"):
        Cookie(name, secure=False)


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a\r\nb", "ä", "a\n", '"a"'])
def test_a_name_is_a_token(name: str) -> None:
    """RFC 9110's, and nothing after it."""
    with pytest.raises(ValueError, match="name"):
        Cookie(name, secure=True)


@pytest.mark.parametrize("value", ["a b", "a;b", "a,b", "a\r\nX: y", "ä", "a\n", '"a"', "a\\b"])
def test_a_value_stays_in_its_place(value: str) -> None:
    """Nothing that a value holds can become an attribute or a header."""
    with pytest.raises(ValueError, match="value"):
        Cookie("s", secure=True).set(value, 1)


@patient
@given(st.text(SAFE, min_size=1), st.text(SAFE), st.integers(0, 10**9))
def test_others_read_what_was_written(name: str, value: str, max_age_s: int) -> None:
    """The standard library's parser finds one cookie, with just these attributes."""
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


def test_all_cookies_of_our_name_that_came_are_cleared_but_for_our_own() -> None:
    """Whichever domain and path they were set for; ours has no domain and the path /."""
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
def test_domains_are_the_hosts_own(host: str, domains: set[str]) -> None:
    """An address belongs to no other name, and nobody owns a whole TLD."""
    assert domains == {domain for domain, _ in cleared(host, "/x")}


@pytest.mark.parametrize("path", ["*", "http://a/b", "/a;Domain=evil", "/a b", "/\u00e9", "/\r\n"])
def test_a_path_that_would_end_an_attribute_is_not_written(path: str) -> None:
    """What came as a target is the client's own writing."""
    assert {"/"} == {below for _, below in cleared("a.example", path)}


def test_a_name_that_others_cannot_set_has_no_strangers() -> None:
    """Browsers keep ``__Host-`` for the host."""
    assert () == Cookie("__Host-session", secure=True).clear_foreign("a.example", "/x")


labels = st.text("ab", min_size=1, max_size=2)


@patient
@given(st.lists(labels, max_size=12), st.lists(labels, max_size=40), st.booleans())
def test_an_answer_stays_short(names: list[str], segments: list[str], ends_in_slash: bool) -> None:
    """However deep host and path are, and what is likeliest is among it."""
    path = "/" + "/".join(segments) + ("/" if segments and ends_in_slash else "")
    host = ".".join([*names, "b", "example"])
    lines = Cookie("session", secure=True).clear_foreign(host, path)

    assert len(lines) <= 32
    assert ("b.example", "/") in cleared(host, path) or len(names) > 12
    for value in lines:
        assert value.startswith("session=; Max-Age=0; Path=/")
        assert "; Secure" in value
