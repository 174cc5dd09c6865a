"""Colours of the login page, and their contrast (WCAG 2.2)."""

import re
from typing import Annotated

from pydantic import WithJsonSchema

from gateway.config.units import of_text

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)


def colour(written: str) -> str:
    """Parse a colour such as ``#1d4ed8`` into lower case. Raises `ValueError`."""
    if not _COLOUR.fullmatch(written):
        raise ValueError("expected a colour such as #1d4ed8")
    return written.lower()


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2), from 1 (equal) to 21 (black and white)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def text_on(background: str) -> str:
    """Choose black or white text for the higher contrast; never below 4.5, level AA of WCAG."""
    return max("#000000", "#ffffff", key=lambda text: contrast(text, background))


def _luminance(written: str) -> float:
    """Relative luminance of a colour (WCAG 2.2)."""
    red, green, blue = (_linear(int(written[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - sRGB, IEC 61966-2-1


Colour = Annotated[
    str,
    of_text(colour),
    WithJsonSchema({"type": "string", "pattern": f"^{_COLOUR.pattern}$", "examples": ["#1d4ed8"]}),
]
"""A colour as ``#rrggbb``."""
