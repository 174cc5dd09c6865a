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
