"""CSRF: a page of another site must not act with a user's cookie."""

from dataclasses import replace

import pytest

from gateway.authz.csrf import refuse_cross_site, refuse_foreign_upgrade
from gateway.core.errors import CrossSite
from gateway.core.identity import AuthMethod
from tests.fakes.heads import multidict
from tests.fakes.ports import SESSION_IDENTITY, TOKEN_IDENTITY

PUBLIC = "https://app.example.com"


def is_allowed(method: str, *fields: tuple[str, str], by_cookie: bool = True) -> bool:
    """Whether the request passes."""
    identity = SESSION_IDENTITY if by_cookie else TOKEN_IDENTITY
    try:
        refuse_cross_site(method, multidict(*fields), identity, PUBLIC)
    except CrossSite:
        return False
    return True


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], False, id="who-made-it-is-not-said"),
        pytest.param([("Origin", PUBLIC)], True, id="our-own-page-by-origin"),
        pytest.param([("Sec-Fetch-Site", "same-origin")], True, id="our-own-page-by-metadata"),
        pytest.param(
            [("Origin", PUBLIC), ("Sec-Fetch-Site", "same-origin")], True, id="our-own-page-by-both"
        ),
        pytest.param([("Origin", "https://evil.example")], False, id="another-site"),
        pytest.param([("Origin", "null")], False, id="a-sandboxed-page"),
        pytest.param([("Origin", "")], False, id="an-empty-origin"),
        pytest.param([("Origin", "http://app.example.com")], False, id="another-scheme"),
        pytest.param([("Origin", f"{PUBLIC}:8443")], False, id="another-port"),
        pytest.param([("Origin", f"{PUBLIC}:443")], False, id="a-port-browsers-leave-out"),
        pytest.param([("Origin", "https://evil.app.example.com")], False, id="a-subdomain"),
        pytest.param([("Origin", f"{PUBLIC}.evil.example")], False, id="ours-as-a-prefix"),
        pytest.param([("Origin", f"{PUBLIC}/")], False, id="a-path-is-no-origin"),
        pytest.param([("Origin", PUBLIC.upper())], False, id="browsers-write-lower-case"),
        pytest.param([("Origin", f"{PUBLIC} https://evil.example")], False, id="two-in-one-field"),
        pytest.param(
            [("Origin", PUBLIC), ("Origin", "https://evil.example")], False, id="two-fields"
        ),
        pytest.param(
            [("Origin", "https://evil.example"), ("Origin", PUBLIC)], False, id="two-fields-turned"
        ),
        pytest.param([("Sec-Fetch-Site", "cross-site")], False, id="cross-site"),
        pytest.param([("Sec-Fetch-Site", "same-site")], False, id="a-sibling-host"),
        pytest.param([("Sec-Fetch-Site", "none")], False, id="no-page-at-all"),
        pytest.param([("Sec-Fetch-Site", "")], False, id="empty-metadata"),
        pytest.param([("Sec-Fetch-Site", "SAME-ORIGIN")], False, id="metadata-have-case"),
        pytest.param(
            [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
            False,
            id="repeated-metadata-that-disagree",
        ),
        pytest.param(
            [("Origin", PUBLIC), ("Sec-Fetch-Site", "cross-site")],
            False,
            id="metadata-contradict-the-origin",
        ),
        pytest.param(
            [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-origin")],
            False,
            id="the-origin-contradicts-metadata",
        ),
        pytest.param([("Referer", f"{PUBLIC}/form")], False, id="a-referer-proves-nothing"),
        pytest.param([("oRIGIN", PUBLIC)], True, id="field-names-have-no-case"),
    ],
)
def test_a_change_by_cookie_must_come_from_our_own_page(
    fields: list[tuple[str, str]], expected: bool
) -> None:
    """One of the two fields must be present, and each that is must name our origin."""
    assert expected is is_allowed("POST", *fields)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        pytest.param("GET", True, id="get-changes-nothing"),
        pytest.param("HEAD", True, id="head-changes-nothing"),
        pytest.param("OPTIONS", True, id="options-changes-nothing"),
        pytest.param("POST", False, id="post"),
        pytest.param("PUT", False, id="put"),
        pytest.param("PATCH", False, id="patch"),
        pytest.param("DELETE", False, id="delete"),
        pytest.param("PROPFIND", False, id="what-we-do-not-know-may-change-something"),
        pytest.param("get", False, id="methods-have-case"),
    ],
)
def test_only_safe_methods_pass_from_other_sites(method: str, expected: bool) -> None:
    """A link from another site works; a form does not."""
    assert expected is is_allowed(method, ("Origin", "https://evil.example"))


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_bearer_tokens_need_no_origin(method: str) -> None:
    """Browsers never attach them, so the page's origin does not matter."""
    assert is_allowed(method, ("Origin", "https://evil.example"), by_cookie=False)
    assert is_allowed(method, by_cookie=False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], True, id="a-program"),
        pytest.param([("Origin", PUBLIC)], True, id="our-own-page"),
        pytest.param([("Origin", "https://evil.example")], False, id="another-site"),
        pytest.param([("Origin", "null")], False, id="a-sandboxed-page"),
    ],
)
def test_certificates_are_checked_too(fields: list[tuple[str, str]], expected: bool) -> None:
    """Browsers attach them; programs, which send no origin, pass."""
    identity = replace(SESSION_IDENTITY, method=AuthMethod.CLIENT_CERTIFICATE, session_key=None)
    refusals = 0
    try:
        refuse_cross_site("POST", multidict(*fields), identity, PUBLIC)
    except CrossSite:
        refusals += 1
    try:
        refuse_foreign_upgrade(multidict(*fields), identity, PUBLIC)
    except CrossSite:
        refusals += 1
    assert refusals == (0 if expected else 2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], False, id="no-page-is-named"),
        pytest.param([("Origin", PUBLIC)], True, id="our-own-page"),
        pytest.param([("Origin", "https://evil.example")], False, id="another-site"),
    ],
)
def test_tokens_that_browsers_send_are_checked_like_sessions(
    fields: list[tuple[str, str]], expected: bool
) -> None:
    """A JWT in a cookie is refused where one that was sent on purpose passes."""
    sent_on_purpose = replace(TOKEN_IDENTITY, method=AuthMethod.JWT)
    ambient = replace(TOKEN_IDENTITY, method=AuthMethod.JWT.sent_automatically())
    refused = []
    for identity in (sent_on_purpose, ambient):
        try:
            refuse_cross_site("POST", multidict(*fields), identity, PUBLIC)
        except CrossSite:
            refused.append(identity)
        try:
            refuse_foreign_upgrade(multidict(*fields), identity, PUBLIC)
        except CrossSite:
            refused.append(identity)
    assert ([] if expected else [ambient, ambient]) == refused


@pytest.mark.parametrize(
    ("origins", "by_cookie", "expected"),
    [
        pytest.param([PUBLIC], True, True, id="our-own-page"),
        pytest.param([], True, False, id="no-page"),
        pytest.param(["https://evil.example"], True, False, id="another-site"),
        pytest.param(["null"], True, False, id="a-sandboxed-page"),
        pytest.param([PUBLIC, PUBLIC], True, False, id="said-twice"),
        pytest.param([f"{PUBLIC}:443"], True, False, id="a-port-browsers-leave-out"),
        pytest.param(["https://evil.example"], False, True, id="a-token-is-sent-on-purpose"),
        pytest.param([], False, True, id="a-program-with-a-token"),
    ],
)
def test_an_upgrade_with_a_cookie_comes_from_our_page(
    origins: list[str], by_cookie: bool, expected: bool
) -> None:
    """Any page can open a WebSocket to us; Origin names the page (CSWSH)."""
    headers = multidict(*(("Origin", origin) for origin in origins))
    identity = SESSION_IDENTITY if by_cookie else TOKEN_IDENTITY
    try:
        refuse_foreign_upgrade(headers, identity, PUBLIC)
    except CrossSite:
        assert not expected
    else:
        assert expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([("Origin", "https://shop.example.com")], True, id="listed"),
        pytest.param(
            [("Origin", "https://shop.example.com"), ("Sec-Fetch-Site", "cross-site")],
            True,
            id="whatever-else-the-browser-says",
        ),
        pytest.param([("Origin", PUBLIC)], True, id="ours"),
        pytest.param([("Origin", "https://evil.example")], False, id="a-stranger"),
        pytest.param([("Origin", "https://shop.example.com")] * 2, False, id="said-twice"),
        pytest.param([("Sec-Fetch-Site", "cross-site")], False, id="no-origin"),
        pytest.param([], False, id="nothing"),
    ],
)
def test_listed_origins_pass(fields: list[tuple[str, str]], expected: bool) -> None:
    """CORS with credentials trusts these pages with the session."""
    listed = frozenset({"https://shop.example.com"})
    try:
        refuse_cross_site("POST", multidict(*fields), SESSION_IDENTITY, PUBLIC, listed)
    except CrossSite:
        assert not expected
    else:
        assert expected
