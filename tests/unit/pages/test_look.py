"""What all pages of one config share."""

from gateway.pages.look import Look
from tests.unit.pages.test_branding import settings


def test_each_language_has_its_texts_and_its_file() -> None:
    """Scripts load those of their page alone."""
    look = Look(settings("login: {lang: ar, languages: [de], texts: {title: Hello}}"))
    page = look.render(["signed-out.html"], "de", return_to="/", back="")
    assert '<html lang="de" dir="ltr"' in page
    assert "Sie sind abgemeldet" in page
    page = look.render(["signed-out.html"], "ar", return_to="/", back="")
    assert '<html lang="ar" dir="rtl"' in page
    assert "Hello" == look.texts["ar"]["title"]
    assert not look.has_own_templates


def test_one_language_needs_no_switch() -> None:
    """There is nothing to choose."""
    look = Look(settings("login: {languages: []}"))
    assert "/_gateway/language" not in look.render(
        ["signed-out.html"], "en", return_to="/", back=""
    )
