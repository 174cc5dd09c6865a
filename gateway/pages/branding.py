"""The parts of the pages that the config decides: colours, logo, texts, settings of scripts."""

from collections.abc import Mapping
from math import inf
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from gateway.config.colours import contrast, text_on
from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.pages import languages
from gateway.pages.assets import packaged

_LARGEST_LOGO_BYTES = 256 << 10
_LIGHT, _DARK = ("#ffffff", "#f4f5f7"), ("#181b21", "#0e1014")
"""Colours of card and ground, by scheme: see pages.css."""
_STANDS_OUT = 3.0
"""Contrast of what is no text (WCAG 2.2 section 1.4.11)."""
_KINDS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"))


def name(settings: Settings) -> str:
    """Name of the app that the login page shows."""
    return settings.login.name or urlsplit(settings.server.public_url).netloc


def texts(settings: Settings, language: str) -> dict[str, str]:
    """Texts of the pages in ``language`` by key, with the name filled in."""
    own = settings.login.texts if language == settings.login.lang else {}
    chosen = {**languages.texts(language), **own}
    return {key: text.replace("{name}", name(settings)) for key, text in chosen.items()}


def lifespan_s(settings: Settings) -> int:
    """Lifetime of the DID tokens that the pages ask Magic for."""
    return int(
        min(
            settings.login.lifespan_s,
            settings.session.lifetime_s or inf,
            settings.identity.max_token_lifetime_s,
        )
    )


def made_files(settings: Settings, texts: Mapping[str, Mapping[str, str]]) -> dict[str, bytes]:
    """
    Make the files of this config, by name; ``texts`` are by language.

    Raises `StartError` where the logo cannot be used.
    """
    return {
        "theme.css": _theme(settings.login.accent, settings.login.accent_dark).encode(),
        "icon.svg": _icon(settings.login.accent),
        "config.js": _config_module(settings),
        **{f"texts.{language}.js": _texts_module(words) for language, words in texts.items()},
        **logo(settings.login.logo),
    }


def logo(path: str) -> Mapping[str, bytes]:
    """Read the logo, named by its format; empty for an empty ``path``. Raises `StartError`."""
    if not path:
        return {}
    try:
        body = Path(path).read_bytes()
    except OSError as error:
        raise StartError(f"login.logo: {path}: {error.strerror}") from None
    kind = _kind(body)
    if not kind or len(body) > _LARGEST_LOGO_BYTES:
        raise StartError(f"login.logo: {path}: expected SVG, PNG, WebP or JPEG, up to 256 KiB")
    return {f"logo.{kind}": body}


def _kind(body: bytes) -> str:
    """Format by the first bytes, since a file name may be wrong."""
    for start, kind in _KINDS:
        if body.startswith(start):
            return kind
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "webp"
    return "svg" if b"<svg" in body[:1024] else ""


def _theme(accent: str, accent_dark: str) -> str:
    light, dark = _colours(accent, _LIGHT), _colours(accent_dark, _DARK)
    return (
        f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{\n  :root {{ {dark} }}\n}}\n"
    )


def _colours(accent: str, grounds: tuple[str, ...]) -> str:
    """Write the colours of a scheme; the focus ring has the accent's, where that stands out."""
    stands_out = all(contrast(accent, ground) >= _STANDS_OUT for ground in grounds)
    ring = accent if stands_out else "var(--text)"
    return f"--accent: {accent}; --on-accent: {text_on(accent)}; --ring: {ring};"


def _icon(accent: str) -> bytes:
    """Draw the mark, which is also the icon of the browser's tab, in the colour of the brand."""
    drawn = packaged()["icon.svg"]
    return drawn.replace(b"#ffffff", text_on(accent).encode()).replace(b"#1d4ed8", accent.encode())


def _config_module(settings: Settings) -> bytes:
    known = {
        "prefix": settings.server.prefix,
        "publicUrl": settings.server.public_url,
        "publishableKey": settings.magic.publishable_key,
        "endpoint": settings.magic.endpoint,
        "isDevelopment": settings.magic.mode == "development",
        "lifespanS": lifespan_s(settings),
        "lang": settings.login.lang,
    }
    return b"/** Settings of the scripts. */\nexport const settings = %b;\n" % orjson.dumps(known)


def _texts_module(words: Mapping[str, str]) -> bytes:
    return b"/** Texts of the pages, by key. */\nexport const texts = %b;\n" % orjson.dumps(words)
