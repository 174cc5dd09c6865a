"""HTML answers of the pages."""

from tests.fakes.pages import page_services, serving


async def test_a_page_is_in_the_language_of_its_visitor() -> None:
    """The switch leads back to it, with where signing in leads to."""
    async with serving(page_services([])) as pages:
        answer = await pages.ask("GET", "/login?return_to=/a%3Fb", "Accept-Language: fr")
    assert "fr" == answer.value("Content-Language")
    assert b"Se connecter \xc3\xa0 localhost:8080" in answer.body
    back = b"return_to=/_gateway/login%3Freturn_to%3D/a%253Fb"
    assert b'href="/_gateway/language?to=de&amp;' + back + b'"' in answer.body
