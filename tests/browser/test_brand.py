"""What an operator makes of the pages: a logo, words, colours, codes by SMS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import ORIGIN, Site, alert, site
from tests.fakes.relayer import CODE

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40"><rect width="9"/></svg>'
NUMBER = "+14155550123"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One with a logo, in German, with SMS alone."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    logo = folder / "logo"
    logo.write_bytes(LOGO)
    login = (
        f'{{name: "Müller & Söhne", logo: "{logo}", lang: de, methods: [sms], accent: "#ffcc00", '
        'texts: {title: "Bei {name} anmelden", send_sms: "Code senden"}}'
    )
    async with site(folder, login=login, more_session=", require_attempt: true") as running:
        yield running


async def test_the_brand(at: Site) -> None:
    """Logo, name, words, language and colour are those of the config."""
    page = await at.page(locale="de-DE")
    await expect(page.get_by_role("heading")).to_have_text("Bei Müller & Söhne anmelden")
    assert 120 == await page.get_by_alt_text("Müller & Söhne").evaluate(
        "(logo) => logo.naturalWidth"
    )
    assert "de" == await page.locator("html").get_attribute("lang")
    button = page.get_by_role("button", name="Code senden")
    await expect(button).to_have_css("background-color", "rgb(255, 204, 0)")
    await expect(button).to_have_css("color", "rgb(0, 0, 0)")


async def test_code_by_sms(at: Site) -> None:
    """A phone number is an identity too; people write it as they like. Magic writes in German."""
    page = await at.page(locale="de-DE")
    await page.get_by_label("Telefonnummer").fill("415 555 0123")
    await page.get_by_role("button", name="Code senden").click()
    await alert(page, "Schreiben Sie die Nummer als +")
    await page.get_by_label("Telefonnummer").fill("+1 (415) 555-0123")
    await page.get_by_role("button", name="Code senden").click()
    await expect(page.get_by_role("status")).to_contain_text("•••0123")
    await expect(page.get_by_text("Spam")).to_be_hidden()
    await page.get_by_role("button", name="Andere Nummer verwenden").click()
    await expect(page.get_by_label("Telefonnummer")).to_be_focused()
    await page.get_by_role("button", name="Code senden").click()
    await page.get_by_label("Code", exact=True).fill(CODE)
    await page.get_by_role("button", name="Weiter").click()
    await page.wait_for_url(ORIGIN + "/")
    assert "de" == at.relayer.parameters[-1]["locale"]
    assert [NUMBER] == at.world.app.seen[-1].values("X-User-Phone")
