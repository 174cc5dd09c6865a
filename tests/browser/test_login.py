"""Signing in, as a person does it."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import ORIGIN, Site, alert, ask_for, give_code, signed_in
from tests.fakes.relayer import CODE, DENIED, THROTTLED
from tests.fakes.servers import eventually
from tests.fakes.timing import no_edge

pytestmark = pytest.mark.asyncio(loop_scope="module")


ATTEMPT = """(email) => fetch("/_gateway/login/attempt", {
  method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({email}),
})"""


async def test_one_time_code(at: Site) -> None:
    """The code from the email opens a session, and the app knows who it is."""
    page = await at.page()
    await ask_for(page, "Email me a code", at.email)
    await expect(page.get_by_role("status")).to_contain_text("sent a code to a•••@example.com")
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")
    assert [at.email] == at.world.app.seen[-1].values("X-User-Email")


async def test_the_token_is_asked_for_as_long_as_the_session_is_to_live(at: Site) -> None:
    """With the lifetime that is configured, and bound to the nonce of the throttle."""
    await signed_in(at)
    asked = dict(at.relayer.calls)["magic_auth_generate_id_token"][0]
    assert 8 * 3600 == asked["lifespan"]
    assert asked["attachment"]


async def test_magic_link(at: Site) -> None:
    """The link opens a session in the window that it opens, and the first one goes on too."""
    page = await at.page("/_gateway/login?return_to=/deep%3Fa%3D1%26b%3D2")
    await ask_for(page, "Email me a link", at.email)
    await expect(page.get_by_role("status")).to_contain_text("sent a link to a•••@example.com")
    other = await page.context.new_page()
    await other.goto(await at.relayer.link())
    await other.wait_for_url(ORIGIN + "/deep?a=1&b=2")
    await page.wait_for_url(ORIGIN + "/deep?a=1&b=2")


async def test_a_link_that_is_opened_in_another_browser(at: Site) -> None:
    """That browser asks first, then is signed in; the first one is not, and says so."""
    page = await at.page()
    await ask_for(page, "Email me a link", at.email)
    other = await at.page(await at.relayer.link())
    await expect(other.get_by_role("status")).to_contain_text(f"signs you in as {at.email}")
    await other.get_by_role("button", name="Sign in here").click()
    await other.wait_for_url(ORIGIN + "/")
    assert [at.email] == at.world.app.seen[-1].values("X-User-Email")
    await expect(page.get_by_role("status")).to_contain_text("Checking")
    assert ORIGIN + "/_gateway/login" == page.url


async def test_a_link_sent_by_another_person(at: Site) -> None:
    """It names whose it is, and who does not agree stays who they are (login CSRF)."""
    hers = await signed_in(at, "/me")
    at.relayer.who = ""
    mallory = await at.page()
    await ask_for(mallory, "Email me a link", "mallory@evil.example")
    await hers.goto(await at.relayer.link())
    await expect(hers.get_by_role("status")).to_contain_text("signs you in as mallory@evil.example")
    await hers.get_by_role("link", name="Start again").click()
    await hers.wait_for_url(ORIGIN + "/_gateway/account")
    await expect(hers.get_by_text(at.email)).to_be_visible()


async def test_a_link_that_is_too_old(at: Site) -> None:
    """There is a way back to ask for another."""
    page = await at.page()
    await ask_for(page, "Email me a link", at.email)
    link = await at.relayer.link()
    at.relayer.is_expired = True
    await page.goto(link)
    await alert(page, "This link is too old")
    assert "magic_credential" not in page.url
    await page.get_by_role("link", name="Start again").click()
    await expect(page.get_by_label("Email address")).to_be_focused()


async def test_a_link_is_good_once(at: Site) -> None:
    """A link that is found later is useless."""
    page = await at.page()
    await ask_for(page, "Email me a link", at.email)
    link = await at.relayer.link()
    await page.goto(link)
    await page.wait_for_url(ORIGIN + "/")
    finder = await at.page(link)
    await alert(finder, "was used before")


async def test_a_page_of_a_link_without_its_link(at: Site) -> None:
    """As after a reload: it says what it is for."""
    page = await at.page("/_gateway/callback")
    await alert(page, "This page is opened by the link in an email")


async def test_wrong_code(at: Site) -> None:
    """It can be written again; the right one is still good."""
    page = await at.page()
    await ask_for(page, "Email me a code", at.email)
    await give_code(page, "000000")
    await alert(page, "not the code that we sent")
    await expect(page.get_by_label("Code")).to_have_attribute("aria-invalid", "true")
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")


async def test_a_code_that_is_not_whole(at: Site) -> None:
    """The page says how long it is; no try is used up for it."""
    page = await at.page()
    await ask_for(page, "Email me a code", at.email)
    for _ in range(at.relayer.max_wrong_codes):
        await give_code(page, "12")
        await alert(page, "The code has six digits.")
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")


async def test_too_many_wrong_codes(at: Site) -> None:
    """Then it begins anew."""
    at.relayer.max_wrong_codes = 1
    page = await at.page()
    await ask_for(page, "Email me a code", at.email)
    await give_code(page, "000000")
    await alert(page, "Too many wrong codes")
    await expect(page.get_by_label("Email address")).to_be_visible()


async def test_a_code_that_is_too_old(at: Site) -> None:
    """Likewise."""
    at.relayer.is_expired = True
    page = await at.page()
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await alert(page, "This code is too old")


async def test_throttled(at: Site) -> None:
    """The page says how long to wait, counts it down in sight, and asks Magic for nothing."""
    await no_edge(900)
    page = await at.page()
    for _ in range(5):
        await page.evaluate(ATTEMPT, at.email)
    await ask_for(page, "Email me a code", at.email)
    await alert(page, "Too many tries. Wait")
    await expect(page.locator("#countdown")).to_have_text(re.compile(r"\d+:\d\d"))
    button = page.get_by_role("button", name="Email me a code")
    await expect(button).to_have_attribute("aria-disabled", "true")
    assert not [method for method, _ in at.relayer.calls if "login" in method]
    assert [(429, "/_gateway/login/attempt")] == at.refusals
    at.refusals.clear()


async def test_throttled_by_magic(at: Site) -> None:
    """Magic has limits of its own."""
    at.relayer.error = THROTTLED
    page = await at.page()
    await ask_for(page, "Email me a code", at.email)
    await alert(page, "Too many tries. Wait 1 minute")


async def test_an_account_that_may_not_sign_in(at: Site) -> None:
    """As Magic's dashboard says."""
    at.relayer.error = DENIED
    page = await at.page()
    await ask_for(page, "Email me a link", at.email)
    await alert(page, "This account may not sign in here")


async def test_magic_is_out_of_reach_of_the_browser(at: Site) -> None:
    """Waiting for a frame that never reports has an end."""
    at.relayer.is_ready = False
    page = await at.page()
    await page.clock.install()
    await page.reload()
    await ask_for(page, "Email me a code", at.email)
    await expect(page.get_by_role("status")).to_contain_text("One moment")
    # `wait_for_function` looks once; then the page's policy forbids what it evaluates.
    await eventually(lambda: page.evaluate("!!globalThis.Magic"), within_s=10)
    await page.clock.run_for(16_000)
    await alert(page, "cannot be reached")


async def test_another_user_is_logged_in_with_magic(at: Site) -> None:
    """They are logged out there: who signs in is who was asked for."""
    at.relayer.who = "eve@example.com"
    await signed_in(at, "/me")
    assert [at.email] == at.world.app.seen[-1].values("X-User-Email")


async def test_a_service_that_failed_can_be_tried_again(at: Site) -> None:
    """What Magic could not do is no dead end."""
    at.relayer.error = -32603
    page = await at.page()
    await ask_for(page, "Email me a code", at.email)
    await alert(page, "sign-in service failed")
    at.relayer.error = 0
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")


async def test_an_address_that_is_none(at: Site) -> None:
    """The gateway is not asked; the field says what is wrong with it."""
    page = await at.page()
    await ask_for(page, "Email me a code", "ada at example")
    await alert(page, "does not look like an email address")
    await expect(page.get_by_label("Email address")).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_label("Email address")).to_be_focused()


@pytest.mark.parametrize("email", [f"ada@{'x' * 64}.example", "ada,bob@example.com"])
async def test_an_address_that_the_gateway_refuses(at: Site, email: str) -> None:
    """It is told in the same words: to try again would not help."""
    page = await at.page()
    field = page.get_by_label("Email address")
    await ask_for(page, "Email me a code", email)
    await alert(page, "does not look like an email address")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_be_focused()
    assert [(400, "/_gateway/login/attempt")] == at.refusals
    at.refusals.clear()
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")


async def test_there_and_back(at: Site) -> None:
    """From a deep link to the login page and back, with the query."""
    page = await at.page("/reports/7?from=2026&q=a%20b")
    assert page.url.startswith(ORIGIN + "/_gateway/login?return_to=")
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/reports/7?from=2026&q=a%20b")
    assert "/reports/7?from=2026&q=a%20b" in [seen.target for seen in at.world.app.seen]


async def test_back_to_another_site(at: Site) -> None:
    """The link to the login page cannot redirect to another site (open redirect)."""
    page = await at.page("/_gateway/login?return_to=https://evil.example/")
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")


async def _tab_to(page: Page, name: str) -> None:
    """Press Tab until the button has the focus; it has a ring in the colour of the brand then."""
    button = page.get_by_role("button", name=name, exact=True)
    for _ in range(12):
        if await button.evaluate("(each) => each === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await expect(button).to_have_css("outline", "rgb(29, 78, 216) solid 2px")


async def test_keyboard_alone(at: Site) -> None:
    """The address is where one begins to write; Enter and Tab do the rest, up to signing out."""
    page = await at.page("/_gateway/login?return_to=/_gateway/account")
    press = page.keyboard.press
    await expect(page.get_by_label("Email address")).to_be_focused()
    await page.keyboard.type(at.email)
    await press("Enter")
    await expect(page.get_by_label("Code")).to_be_focused()
    await _tab_to(page, "Use another address")
    await press("Enter")
    await expect(page.get_by_label("Email address")).to_be_focused()
    await _tab_to(page, "Email me a code")
    await press("Enter")
    await expect(page.get_by_label("Code")).to_be_focused()
    await page.keyboard.type(CODE)
    await press("Enter")
    await page.wait_for_url(ORIGIN + "/_gateway/account")
    await _tab_to(page, "Log out everywhere")
    await page.goto("/_gateway/logout")
    await _tab_to(page, "Log out")
    await press("Enter")
    await page.wait_for_url(ORIGIN + "/_gateway/signed-out")
    await press("Tab")
    await press("Enter")
    await expect(page.get_by_label("Email address")).to_be_focused()


async def test_reload_while_a_code_is_awaited(at: Site) -> None:
    """It begins anew, and works."""
    page = await at.page()
    await ask_for(page, "Email me a code", at.email)
    await expect(page.get_by_label("Code")).to_be_visible()
    await page.reload()
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")


async def test_without_javascript(at: Site) -> None:
    """The page says what is missing, and shows no form that could not work."""
    page = await at.page(java_script_enabled=False)
    await expect(page.get_by_label("Email address")).to_be_hidden()
    assert "<noscript><p" in await page.content()


async def test_a_code_is_pasted(at: Site) -> None:
    """One input takes it, with spaces or in the digits of another keyboard; six boxes show it."""
    page = await at.page()
    assert "email" == await page.get_by_label("Email address").get_attribute("autocomplete")
    await ask_for(page, "Email me a code", at.email)
    code = page.get_by_label("Code", exact=True)
    assert ("one-time-code", "numeric") == (
        await code.get_attribute("autocomplete"),
        await code.get_attribute("inputmode"),
    )
    await expect(code).to_be_focused()
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.evaluate("navigator.clipboard.writeText('１２３ 45\\n')")
    await page.keyboard.press("Control+V")
    await expect(code).to_have_value("12345")
    assert ["1", "2", "3", "4", "5", ""] == await page.locator(".boxes span").all_text_contents()
    await code.press_sequentially("x6789")
    await expect(code).to_have_value(CODE)
    await page.get_by_role("button", name="Continue").click()
    await page.wait_for_url(ORIGIN + "/")


async def test_a_code_is_sent_again(at: Site) -> None:
    """After half a minute, which the button counts; the new code is good."""
    page = await at.page()
    await page.clock.install()
    await ask_for(page, "Email me a code", at.email)
    resend = page.get_by_role("button", name="Send it again")
    await expect(resend).to_have_attribute("aria-disabled", "true")
    await expect(resend).to_contain_text(re.compile(r"in \d+ seconds"))
    await resend.click(force=True)
    sent = "magic_auth_login_with_email_otp"
    assert 1 == [method for method, _ in at.relayer.calls].count(sent)
    await page.clock.run_for(31_000)
    await expect(resend).to_have_text("Send it again")
    await resend.click()
    await expect(resend).to_contain_text(re.compile(r"in \d+ seconds"))
    assert 2 == [method for method, _ in at.relayer.calls].count(sent)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")


async def test_another_address(at: Site) -> None:
    """Who has made a mistake begins anew, and is not signed in as the first."""
    page = await at.page()
    await ask_for(page, "Email me a code", "wrong@example.com")
    await page.get_by_role("button", name="Use another address").click()
    await ask_for(page, "Email me a code", at.email)
    await give_code(page)
    await page.wait_for_url(ORIGIN + "/")
    assert [at.email] == at.world.app.seen[-1].values("X-User-Email")


@pytest.mark.parametrize(
    ("language", "email", "send", "code", "go"),
    [
        ("de-DE", "E-Mail-Adresse", "Code per E-Mail senden", "Code", "Weiter"),
        ("fr-FR", "Adresse e-mail", "Recevoir un code par e-mail", "Code", "Continuer"),
        ("es-ES", "Correo electrónico", "Enviarme un código por correo", "Código", "Continuar"),
        ("ja-JP", "メールアドレス", "コードをメールで受け取る", "コード", "続ける"),
    ],
)
async def test_languages(
    at: Site, language: str, email: str, send: str, code: str, go: str
) -> None:
    """The page and its scripts speak the language of the browser."""
    page = await at.page(locale=language)
    await page.get_by_label(email).fill(at.email)
    await page.get_by_role("button", name=send).click()
    await expect(page.get_by_role("status")).to_contain_text("a•••@example.com")
    await page.get_by_label(code, exact=True).fill(CODE)
    await page.get_by_role("button", name=go).click()
    await page.wait_for_url(ORIGIN + "/")


async def test_the_language_is_switched(at: Site) -> None:
    """The page comes back in it, and leads to where it would have."""
    page = await at.page("/_gateway/login?return_to=/deep")
    await page.get_by_role("link", name="Deutsch").click()
    await expect(page.get_by_role("heading")).to_contain_text("anmelden")
    await page.get_by_label("E-Mail-Adresse").fill(at.email)
    await page.get_by_role("button", name="Code per E-Mail senden").click()
    await page.get_by_label("Code", exact=True).fill(CODE)
    await page.get_by_role("button", name="Weiter").click()
    await page.wait_for_url(ORIGIN + "/deep")
