"""What of the pages follows from the config."""

import errno
import os
from pathlib import Path

import orjson
import pytest

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.pages import branding

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8


def settings(more: str = "") -> Settings:
    """A config in development mode with ``more``."""
    text = (
        "server: {public_url: 'http://localhost:8080'}\nredis: {url: 'embedded://'}\n"
        f"magic: {{mode: development}}\n{more}"
    )
    return parse(text, "gateway.yaml", {}, lambda path: path)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param("", 8 * 3600, id="a-working-day"),
        pytest.param("login: {lifespan: 1h}", 3600, id="as-configured"),
        pytest.param("session: {lifetime: 30m}", 1800, id="not-longer-than-the-session"),
        pytest.param("identity: {max_token_lifetime: 10m}", 600, id="not-longer-than-is-accepted"),
    ],
)
def test_lifespan(more: str, expected: int) -> None:
    """The token is asked for as long as the session is to live."""
    assert expected == branding.lifespan_s(settings(more))


@pytest.mark.parametrize(
    ("body", "name"),
    [
        pytest.param(PNG, "logo.png", id="png"),
        pytest.param(b"\xff\xd8\xff\xe0", "logo.jpeg", id="jpeg"),
        pytest.param(b"RIFF\0\0\0\0WEBPVP8 ", "logo.webp", id="webp"),
        pytest.param(b"<?xml?><svg/>", "logo.svg", id="svg"),
    ],
)
def test_logo(tmp_path: Path, body: bytes, name: str) -> None:
    """What a file is follows from its contents."""
    path = tmp_path / "logo"
    path.write_bytes(body)
    assert {name: body} == branding.logo(str(path))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<script>", id="something-else"),
        pytest.param(PNG + b"\0" * (256 << 10), id="too-large"),
    ],
)
def test_what_is_no_logo(tmp_path: Path, body: bytes) -> None:
    """It would be sent to every visitor."""
    path = tmp_path / "logo"
    path.write_bytes(body)
    with pytest.raises(StartError, match="expected SVG"):
        branding.logo(str(path))


def test_a_logo_that_is_not_there() -> None:
    """The file is named."""
    absent = os.strerror(errno.ENOENT)
    with pytest.raises(StartError, match=rf"login\.logo: nowhere\.svg: {absent}"):
        branding.logo("nowhere.svg")


def test_texts() -> None:
    """Those of the config take the place of ours, and the name is filled in."""
    texts = branding.texts(
        settings("login: {name: Acme, texts: {email: 'Your {name} email'}}"), "en"
    )
    assert ("Sign in to Acme", "Your Acme email") == (texts["title"], texts["email"])


def test_without_a_name_the_host_is_named() -> None:
    """The host of public_url, with its port."""
    assert "Sign in to localhost:8080" == branding.texts(settings(), "en")["title"]


def test_files() -> None:
    """The style sheet has the colours; the scripts know the config, and no secret of it."""
    made = branding.made_files(settings(), {"de": {"title": "Anmelden"}})
    assert b"--accent: #1d4ed8; --on-accent: #ffffff" in made["theme.css"]
    first = made["config.js"].splitlines()[1].partition(b"= ")[2].rstrip(b";")
    assert {
        "prefix": "/_gateway",
        "publicUrl": "http://localhost:8080",
        "publishableKey": "",
        "endpoint": "https://auth.magic.link",
        "isDevelopment": True,
        "lifespanS": 8 * 3600,
        "lang": "en",
    } == orjson.loads(first)
    assert made["texts.de.js"].endswith(b'export const texts = {"title":"Anmelden"};\n')


def test_own_texts_are_in_the_language_of_the_site() -> None:
    """A visitor who asks for another one gets no mix of two."""
    chosen = settings("login: {lang: de, name: Acme, texts: {email: Post}}")
    assert "Post" == branding.texts(chosen, "de")["email"]
    assert "Email address" == branding.texts(chosen, "en")["email"]
    assert "Bei Acme anmelden" == branding.texts(chosen, "de")["title"]


@pytest.mark.parametrize(
    ("accent", "ring"),
    [("#1d4ed8", "#1d4ed8"), ("#ffcc00", "var(--text)"), ("#949494", "var(--text)")],
)
def test_the_ring_of_the_focus_stands_out(accent: str, ring: str) -> None:
    """It has the colour of the brand, but for one that is too light: as text has it, then."""
    made = branding.made_files(settings(f"login: {{accent: '{accent}'}}"), {})
    light, _, dark = made["theme.css"].decode().partition("@media")
    assert f"--accent: {accent};" in light
    assert f"--ring: {ring};" in light
    assert "--ring: #93c5fd;" in dark


def test_the_mark_has_the_colours_of_the_brand() -> None:
    """It is drawn in what stands out from it; pages that have a logo show it in the tab alone."""
    made = branding.made_files(settings("login: {accent: '#ffcc00'}"), {})["icon.svg"]
    assert b'fill="#ffcc00"' in made
    assert b'stroke="#000000"' in made
