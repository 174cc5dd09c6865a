"""Colours of a config, and whether they can be told apart (WCAG 2.2)."""

import re
from typing import Annotated

from pydantic import WithJsonSchema

from gateway.config.units import of_text

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)


def colour(written: str) -> str:
    """A colour such as ``#1d4ed8``, in lower case. Raises `ValueError`."""
    if not _COLOUR.fullmatch(written):
        raise ValueError("expected a colour such as #1d4ed8")
    return written.lower()


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black and white); WCAG 2.2, "contrast ratio"."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def text_on(background: str) -> str:
    """Black or white, whichever can be read better; never below 4.5, which is level AA."""
    return max("#000000", "#ffffff", key=lambda text: contrast(text, background))


def _luminance(written: str) -> float:
    """WCAG 2.2, "relative luminance"."""
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
