"""The pages that people see, as bytes: headers, files, escaping. Browsers are in tests/browser."""

import re

import pytest

from tests.fakes.http import Answer, fetch
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "publishable_key": "pk_test_0123456789",
    "more_magic": ', endpoint: "https://auth.example.com"',
    "login": '{name: "<b>Acme & Co</b>", methods: [magic-link, email-otp, sms]}',
}


def page_is_locked_down(answer: Answer) -> None:
    """Only our own scripts run; the page cannot be framed or cached."""
    assert 200 == answer.status
    assert "no-store" == answer.value("Cache-Control")
    policy = answer.value("Content-Security-Policy")
    assert "default-src 'none'; script-src 'self'; connect-src 'self'; " in policy
    assert "frame-src https://auth.example.com; " in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "nosniff" == answer.value("X-Content-Type-Options")
    assert b"<script>" not in answer.body
    assert not re.search(rb'\s(on\w+|style)="', answer.body)


async def test_the_login_page(around: World) -> None:
    """It names what one signs in to, and what is in the config is text to it."""
    answer = await around.get("/_gateway/login")
    page_is_locked_down(answer)
    assert "no-referrer" == answer.value("Referrer-Policy")
    assert b"Sign in to &lt;b&gt;Acme &amp; Co&lt;/b&gt;" in answer.body
    assert [b"magic-link", b"email-otp", b"sms"] == re.findall(
        rb'submit" value="([^"]+)"', answer.body
    )
    assert b"<noscript>" in answer.body


async def test_the_callback_page(around: World) -> None:
    """What a link brings along stays out of the log."""
    answer = await around.get("/_gateway/callback?magic_credential=secret-of-the-link")
    page_is_locked_down(answer)
    assert "no-referrer" == answer.value("Referrer-Policy")
    assert b"secret-of-the-link" not in answer.body
    assert not any("secret-of-the-link" in str(line) for line in around.gateway.log_lines())


async def test_the_account_page(around: World) -> None:
    """It is for those who are signed in; its forms work without scripts."""
    answer = await around.get("/_gateway/account", await around.sign_in())
    page_is_locked_down(answer)
    assert "same-origin" == answer.value("Referrer-Policy")
    assert b"alice@example.com" in answer.body
    anonymous = await around.get("/_gateway/account", "Sec-Fetch-Mode: navigate")
    assert (302, "/_gateway/login?return_to=/_gateway/account") == (
        anonymous.status,
        anonymous.value("Location"),
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", "/_gateway/account", id="to-the-account"),
        pytest.param("?return_to=/a%3Fb%3Dc", "/a?b=c", id="where-one-wanted-to-go"),
        pytest.param("?return_to=//evil.example", "/", id="not-to-another-site"),
    ],
)
async def test_who_is_signed_in_is_led_on(around: World, query: str, expected: str) -> None:
    """The login page has nothing for them."""
    answer = await around.get(f"/_gateway/login{query}", await around.sign_in())
    assert (303, expected) == (answer.status, answer.value("Location"))


async def test_where_one_wanted_to_go_is_text(around: World) -> None:
    """It cannot leave the attribute that it stands in."""
    answer = await around.get("/_gateway/login?return_to=/a%3F%22%3E%3Cscript%3E")
    assert b'data-return-to="/a?%22%3E%3Cscript%3E"' in answer.body


async def test_files_are_kept_for_good(around: World) -> None:
    """Their names change with their contents; one of another version is not kept."""
    page = await around.get("/_gateway/login")
    for path in re.findall(r'(?:src|href)="([^"]+/static/[^"]+)"', page.body.decode()):
        file = await around.get(path)
        assert (200, "public, max-age=31536000, immutable") == (
            file.status,
            file.value("Cache-Control"),
        )
        assert "sandbox" in file.value("Content-Security-Policy")
    other = await around.get("/_gateway/static/0123456789abcdef/login.js")
    assert (200, "no-store") == (other.status, other.value("Cache-Control"))


@pytest.mark.parametrize(
    "path",
    [
        "/_gateway/static/0123456789abcdef/nothing.js",
        "/_gateway/static/0123456789abcdef/vendor/magic-sdk.LICENSE",
        "/_gateway/static/0123456789abcdef/%2e%2e/login.py",
        "/_gateway/static/login.js",
    ],
)
async def test_there_are_no_other_files(around: World, path: str) -> None:
    """What is sent is a list, not a folder."""
    assert (await around.get(path)).status in (400, 404)


async def test_files_are_compressed_for_those_who_can_read_it(around: World) -> None:
    """And caches are told."""
    path = "/_gateway/static/0123456789abcdef/vendor/magic-sdk.js"
    plain, packed = await around.get(path), await around.get(path, "Accept-Encoding: br, gzip")
    assert ("", "gzip") == (
        "".join(plain.values("Content-Encoding")),
        packed.value("Content-Encoding"),
    )
    assert len(packed.body) < len(plain.body) / 2
    assert "Accept-Encoding" == plain.value("Vary") == packed.value("Vary")


async def test_the_module_for_apps_has_a_name_that_stays(around: World) -> None:
    """Apps write it into their own pages."""
    answer = await around.get("/_gateway/static/renew.js")
    assert (200, "no-cache") == (answer.status, answer.value("Cache-Control"))
    assert re.fullmatch(rb'import "\./[0-9a-f]{16}/renew\.js";\n', answer.body)


async def test_a_form_that_logs_out_leads_to_a_page_that_says_so(around: World) -> None:
    """There is something to see, also without scripts."""
    answer = await fetch(
        around.port,
        "POST",
        "/_gateway/logout",
        await around.sign_in(),
        "Origin: http://localhost",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: navigate",
    )
    assert (303, "signed-out") == (answer.status, answer.value("Location"))
