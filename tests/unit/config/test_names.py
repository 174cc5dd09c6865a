"""Names of entries, headers, cookies, methods and protocols."""

from collections.abc import Callable

import pytest

from gateway.config import names


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (names.name, "app"),
        (names.name, "App_2-blue"),
        (names.name, "a" * 64),
        (names.header_name, "X-User-Issuer"),
        (names.header_name, "Remote-User"),
        (names.foreign_field, "Remote-User"),
        (names.cookie_name, "__Host-session"),
        (names.cookie_name, "a!#$%&'*+-.^_`|~9"),
        (names.key_prefix, ""),
        (names.key_prefix, "gateway:prod/1."),
        (names.method, "GET"),
        (names.method, "M-SEARCH"),
    ],
)
def test_names(parse: Callable[[str], str], text: str) -> None:
    """A name is kept as it is."""
    assert text == parse(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        pytest.param(names.name, "", id="an-entry-without-name"),
        pytest.param(names.foreign_field, "Remote User", id="a-field-with-a-space"),
        pytest.param(names.foreign_field, "X-User-Issuer", id="a-field-of-no-other-gateway"),
        pytest.param(names.name, "a:b", id="a-colon-would-break-the-key"),
        pytest.param(names.name, "{a}", id="braces-would-move-the-key"),
        pytest.param(names.name, "-a", id="a-sign-first"),
        pytest.param(names.name, "a\n", id="a-newline-would-forge-a-log-line"),
        pytest.param(names.name, "a" * 65, id="too-long"),
        pytest.param(names.header_name, "X_User", id="an-underscore-folds-into-a-hyphen"),
        pytest.param(names.header_name, "X User", id="no-token"),
        pytest.param(names.header_name, "", id="a-header-without-name"),
        pytest.param(names.cookie_name, "a b", id="a-cookie-with-a-space"),
        pytest.param(names.cookie_name, "a=b", id="a-cookie-with-an-equals-sign"),
        pytest.param(names.cookie_name, "", id="a-cookie-without-name"),
        pytest.param(names.key_prefix, "{a}", id="a-hash-tag-around-all-keys"),
        pytest.param(names.method, "get", id="methods-are-case-sensitive"),
        pytest.param(names.method, "", id="no-method"),
        pytest.param(names.upgrade, "", id="no-protocol"),
        pytest.param(names.upgrade, "a, b", id="two-protocols"),
        pytest.param(names.upgrade, "a/1/2", id="two-versions"),
    ],
)
def test_no_names(parse: Callable[[str], str], text: str) -> None:
    """A name that Redis, a log, a header or a cookie could misread is refused."""
    with pytest.raises(ValueError, match=r"^expected "):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [*sorted(names.RESERVED_HEADERS), "Host", "COOKIE", "X-Forwarded-For", "x-forwarded-user"],
)
def test_reserved_headers(text: str) -> None:
    """A field with another meaning to a hop or to the app cannot carry an identity."""
    with pytest.raises(ValueError, match="has another meaning"):
        names.header_name(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("websocket", "websocket"), ("WebSocket", "websocket"), ("Chat/2.0", "chat/2.0")],
)
def test_upgrades(text: str, expected: str) -> None:
    """Names of protocols have no case (RFC 9110 section 7.8)."""
    assert expected == names.upgrade(text)


@pytest.mark.parametrize("text", ["h2c", "H2C", "HTTP/2.0", "TLS/1.2", "h2", "h3", "http"])
def test_upgrades_to_http_itself(text: str) -> None:
    """Requests in other forms of HTTP would bypass the gateway (CVE-2026-88008)."""
    with pytest.raises(ValueError, match="past the gateway"):
        names.upgrade(text)


@pytest.mark.parametrize("text", ["CONNECT", "TRACE"])
def test_unforwarded_methods(text: str) -> None:
    """No route can be for a method that is never forwarded."""
    with pytest.raises(ValueError, match="never forwarded"):
        names.method(text)


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [("__Host-s", True), ("__host-s", True), ("__Secure-s", True), ("session", False)],
)
def test_needs_https(cookie: str, expected: bool) -> None:
    """Browsers compare the prefixes of cookies without case."""
    assert names.needs_https(cookie) is expected
