"""The looks of the pages by one config: templates, texts by language, and files."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.core.identity import User
from gateway.pages import branding, languages
from gateway.pages.assets import Assets
from gateway.pages.templates import forget, templates


class Look:
    """Renders the templates of the pages, with what all pages of one config share."""

    def __init__(self, settings: Settings) -> None:
        """Raises `StartError` where the logo or a template cannot be used."""
        self.prefix = settings.server.prefix
        self.offered = languages.offered(settings)
        self.texts = {language: branding.texts(settings, language) for language in self.offered}
        made = branding.made_files(settings, self.texts)
        self.assets = Assets(made)
        base = f"{self.prefix}/static/{self.assets.version}"
        logos = [f"{base}/{name}" for name in made if name.startswith("logo.")]
        self._known: Mapping[str, Any] = {
            "base": base,
            "prefix": self.prefix,
            "name": branding.name(settings),
            "logo": logos[0] if logos else "",
            "languages": [(tag, languages.name_of(tag)) for tag in self.offered],
            "methods": settings.login.methods,
            "is_development": settings.magic.mode == "development",
            "is_set_up": bool(settings.magic.publishable_key)
            or settings.magic.mode == "development",
        }
        self._templates = templates(settings.pages.templates)
        self.has_own_templates = bool(settings.pages.templates)

    def close(self) -> None:
        """Free the templates: nothing is rendered any more."""
        forget(self._templates)

    def render(self, names: list[str], language: str, **values: object) -> str:
        """
        Render the first template of ``names`` that there is.

        Raises `StartError` where one of an operator cannot be rendered.
        """
        template = self._templates.select_template(names)
        try:
            return template.render(
                **self._known,
                lang=language,
                dir=languages.direction(language),
                texts=self.texts[language],
                **values,
            )
        except Exception as error:
            if not self.has_own_templates:
                raise
            place = _place_of(error) or template.filename
            said = f"{type(error).__name__}: {error}"
            raise StartError(f"pages.templates: {place}: {said}") from error

    def file_of(self, names: list[str]) -> str:
        """Name the file of the first template of ``names`` that there is."""
        return self._templates.select_template(names).filename or names[0]

    def faults(self) -> Iterator[str]:
        """Render the pages but those of refusals, in each language; find what fails."""
        for name, values in _samples():
            for language in self.offered:
                try:
                    self.render([name], language, back="", **values)
                except StartError as error:
                    yield str(error)


_SESSION: Mapping[str, object] = {
    "id": "5d0c8f7e0b6a4c1f",
    "device": "Firefox on Linux",
    "ip": "203.0.113.9",
    "created_at": "2026-01-30T04:28:44.000Z",
    "last_seen_at": "2026-01-30T04:58:02.120Z",
    "expires_at": "2026-01-31T04:28:44.000Z",
    "current": True,
    "place": "Berlin, Germany",
}
_OTHER_SESSION: Mapping[str, object] = {
    **_SESSION,
    "id": "0b9a8f7e5d0c8f7e",
    "current": False,
    "device": "",
    "ip": "",
    "place": None,
    "last_seen_at": None,
}
"""A session of which only the id and the times are known."""


def _samples() -> Iterator[tuple[str, dict[str, object]]]:
    """Return what pages are given: the kinds of callers there are, with a way back and without."""
    until = datetime(2026, 1, 31, tzinfo=UTC)
    issuer, address = "did:ethr:0xAb5801a7D398351b8bE11C439e05C5B3259aeC9B", "0xAb5801a7D398351b8b"
    users = (
        User(issuer, email="ada@example.com", public_address=address),
        User(issuer, phone="+14155550123"),
        User(issuer),
    )
    yield "callback.html", {}
    for place in ("/", "/page?a=b"):
        yield "login.html", {"return_to": place}
        yield "signed-out.html", {"return_to": place}
    for user in users:
        for sessions in ([], [_SESSION], [_SESSION, _OTHER_SESSION]):
            yield "account.html", {"user": user, "until": until, "sessions": sessions}
        for place in ("", "/page?a=b"):
            name = user.email or user.phone or user.issuer
            yield "logout.html", {"signed_in_as": name, "return_to": place}


def _place_of(error: Exception) -> str:
    """Return file and line of the template that failed; empty where no frame is of one."""
    place, step = "", error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if file.endswith(".html"):  # jinja2 has put the template's own lines in
            place = f"{file}:{step.tb_lineno}"
        step = step.tb_next
    return place
