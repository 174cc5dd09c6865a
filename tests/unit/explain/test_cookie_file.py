"""Files of cookies."""

import pytest

from gateway.explain.cookie_file import cookies_for
from gateway.explain.question import UrlParts

JAR = """# Netscape HTTP Cookie File
#HttpOnly_app.example.com\tFALSE\t/\tTRUE\t0\t__Host-session\tc2Vz
.example.com\tTRUE\t/\tFALSE\t0\ttheme\tdark
app.example.com\tFALSE\t/admin\tFALSE\t0\tbelow\t1

broken line
"""


@pytest.mark.parametrize(
    ("scheme", "host", "target", "expected"),
    [
        pytest.param("https", "app.example.com", "/", "__Host-session=c2Vz; theme=dark", id="all"),
        pytest.param("http", "app.example.com:80", "/?a", "theme=dark", id="not-secure"),
        pytest.param("https", "APP.example.com:443", "/admin/x", "__Host-session=c2Vz; "
                     "theme=dark; below=1", id="below"),
        pytest.param("http", "app.example.com", "/administrator", "theme=dark", id="beside"),
        pytest.param("https", "example.com", "/", "theme=dark", id="parent"),
        pytest.param("https", "notexample.com", "/", "", id="another"),
        pytest.param("https", "[::1]", "/", "", id="ipv6"),
    ],
)  # fmt: skip
def test_cookies_are_those_that_a_browser_would_send(
    scheme: str, host: str, target: str, expected: str
) -> None:
    """By host, path and scheme (RFC 6265)."""
    assert expected == cookies_for(JAR, UrlParts(scheme, host, target))


def test_a_cookie_for_an_ipv6_address_is_found() -> None:
    """Its colons are no port."""
    jar = "[::1]\tFALSE\t/\tFALSE\t0\ta\tb\n"
    for host in ("[::1]", "[::1]:8080"):
        assert "a=b" == cookies_for(jar, UrlParts("http", host, "/"))


@pytest.mark.parametrize("text", ["a=b; c=d\n", "Cookie: a=b; c=d\n", "# copied\na=b\nc=d"])
def test_a_file_may_hold_the_value_itself(text: str) -> None:
    """As developer tools of browsers show it."""
    assert "a=b; c=d" == cookies_for(text, UrlParts("http", "a", "/"))
